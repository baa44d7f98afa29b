"""Recipes load, take overrides, and report every fault at once."""

import dataclasses
import json

import pytest

from agem_tf import config
from agem_tf.config import loading
from agem_tf.errors import UserError


def test_defaults_are_a_valid_recipe():
    assert config.validate(config.Config()).name == "quickstart"


def test_overrides_take_the_type_of_their_field():
    recipe = loading.override_recipe(
        config.Config(),
        [
            "image.size=96",
            "optimizer.learning_rate=1",
            "model.attention_placement=C4,",
            "model.weights=None",
            "data.options={'seed': 3}",
            "model.pooling=mac",
            "data.directory=2024",
            "data.source='7'",
            "data.validation_split=",
            "extraction.scales=[1, 0.5]",
        ],
    )
    assert recipe.image.size == 96
    assert recipe.optimizer.learning_rate == 1.0
    assert recipe.model.attention_placement == ("C4",)
    assert recipe.model.weights is None
    assert recipe.data.options == {"seed": 3}
    assert recipe.model.pooling == "mac"
    assert recipe.data.directory == "2024"
    assert recipe.data.source == "7"
    assert recipe.data.validation_split == ""
    assert recipe.extraction.scales == (1.0, 0.5)


def test_a_network_is_set_by_name():
    recipe = loading.override_recipe(
        config.Config(),
        ["model.pooling=mac", "model=agem_resnet101", "model.weights=None"],
    )
    model = config.named_network("agem_resnet101")
    assert recipe.model == dataclasses.replace(model, weights=None)
    assert (model.backbone, model.attention) == ("resnet101", "agem")
    assert config.validate(recipe).name == "quickstart"


def test_names_and_titles_of_networks_agree():
    words = {"agem": "three", "cbam": "CBAM", "gem": "gem", "rmac": "regional"}
    for name in config.NETWORK_NAMES:
        title = config.network_title(config.named_network(name))
        # CBAM in the place of the paper's units has both words.
        kinds = name.replace("agem_cbam", "cbam").split("_")
        assert all(words.get(kind, "") in title for kind in kinds), title
        assert ("attention" in title) == ("cbam" not in kinds), title
    blocks = config.ModelConfig(attention_placement=("blocks",))
    assert config.network_title(blocks) == (
        "efficientnet_lite0 with CBAM in every block, gem pooling"
    )


@pytest.mark.parametrize("text", ["C4,C5", "('C4', 'C5')", "['C4', 'C5']"])
def test_names_are_listed_with_or_without_quotes(text):
    recipe = loading.override_recipe(
        config.Config(), [f"model.attention_placement={text}"]
    )
    assert recipe.model.attention_placement == ("C4", "C5")


def test_a_path_of_weights_may_look_like_a_number():
    recipe = loading.override_recipe(config.Config(), ["model.weights=2024"])
    assert recipe.model.weights == "2024"


@pytest.mark.parametrize(
    ("assignments", "options"),
    [
        (["loss.name=triplet"], {}),
        (["loss.name=contrastive"], {"margin": 0.85}),
        (["loss.name=triplet", "loss.options={'margin': 1}"], {"margin": 1}),
        (["loss.options={'margin': 1}", "loss.name=triplet"], {"margin": 1}),
        (["loss={'name': 'triplet', 'options': {'margin': 1}}"], {"margin": 1}),
    ],
)
def test_another_loss_does_not_inherit_options(assignments, options):
    recipe = loading.override_recipe(config.Config(), assignments)
    assert recipe.loss.options == options


def test_a_loss_of_a_recipe_file_starts_without_options():
    assert config.LossConfig("triplet").options == {}


def test_another_loss_has_no_classifier_options():
    recipe = config.Config(
        loss=config.LossConfig("arcface", {}, {"num_centres": 3})
    )
    loading.override_recipe(recipe, ["loss.name=triplet"])
    assert recipe.loss.classifier_options == {}


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("model.poling=mac", "did you mean 'pooling'"),
        ("modle.pooling=mac", "'modle.pooling'; did you mean 'model'"),
        ("zzz=1", r"no field 'zzz'\. Known here: augmentation, data"),
        ("image.size=large", "image.size must be of type int"),
        ("image.size", "name=value"),
        ("loss.options.margin=1", "dictionary is set as a whole, as in loss"),
        ("loss.options={'margin': {1}}", "loss.options must hold numbers"),
        ("image.size.more=3", "image.size.more"),
        ("image.size.more.still=3", "image.size.more.still"),
        ("loss=triplet", "loss must be of type LossConfig"),
        ("model=gem_resnet", "no network called 'gem_resnet'; .*gem_resnet101"),
        ("optimizer.rules=[{'patern': '*'}]", "did you mean 'pattern'"),
        ("optimizer.rules=[{'weight_decay': 1.0}]", "pattern"),
        ("optimizer.decay=1e999", "optimizer.decay must be finite"),
        ("model.regional=1", "must be of type bool"),
    ],
)
def test_a_bad_override_is_named(assignment, message):
    with pytest.raises(UserError, match=message):
        loading.override_recipe(config.Config(), [assignment])


def test_all_faults_are_reported_at_once():
    recipe = loading.override_recipe(
        config.Config(),
        ["model.pooling=gam", "training.epochs=-1", "model.backbone=resnet51"],
    )
    with pytest.raises(UserError) as error:
        config.validate(recipe)
    for part in ("'gam'", "training.epochs", "'resnet51'", "rmac"):
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("section", "field", "value", "message"),
    [
        ("image", "size", "big", "image.size must be of type int"),
        ("image", "size", True, "image.size must be of type int"),
        ("extraction", "scales", 1.0, "extraction.scales must be of type"),
        ("extraction", "scales", (1.0, "2"), r"extraction.scales\[1\] must"),
        ("extraction", "scales", (float("nan"),), r"scales\[0\] must be fin"),
        ("model", "attention_placement", "C5", "placement must be of type"),
        ("optimizer", "learning_rate", float("nan"), "rate must be finite"),
        ("optimizer", "decay", float("nan"), "optimizer.decay must be finite"),
        ("optimizer", "epsilon", 0.0, "optimizer.epsilon must be positive"),
        ("optimizer", "rules", [], "optimizer.rules is empty"),
        ("optimizer", "rules", ["*"], r"optimizer.rules\[0\] must be of type"),
        ("data", "options", {3: 4}, "data.options must have names as keys"),
        ("loss", "options", None, "loss.options must be of type dict"),
    ],
)
def test_a_value_of_another_type_is_named(section, field, value, message):
    recipe = config.Config()
    setattr(getattr(recipe, section), field, value)
    with pytest.raises(UserError, match=message):
        config.validate(recipe)


def test_integers_are_accepted_as_floats_and_lists_as_tuples():
    recipe = config.Config()
    recipe.optimizer.decay = 0
    recipe.extraction.scales = [1, 2]
    assert config.validate(recipe) is recipe


@pytest.mark.parametrize("field", ["learning_rate_scale", "weight_decay"])
def test_negative_settings_of_a_rule_are_refused(field):
    recipe = config.Config()
    setattr(recipe.optimizer.rules[0], field, -1.0)
    with pytest.raises(UserError, match=rf"optimizer\.rules\[0\]\.{field}"):
        config.validate(recipe)


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (["extraction.whitening=learned"], "extraction.whitening learned"),
        (
            ["model.pooling=attentive", "extraction.whitening=pca"],
            "attentive exports local features",
        ),
        (
            ["extraction.whitening=none", "data.test_split="],
            "data.test_split and data.train_split are empty",
        ),
    ],
)
def test_an_evaluation_without_its_splits_is_refused(assignments, message):
    recipe = loading.override_recipe(
        config.Config(),
        ["training.epochs=0", "data.train_split=", *assignments],
    )
    with pytest.raises(UserError, match=message):
        config.validate(recipe)


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (["optimizer.decay=0.1"], "decay is for .* epochs, and it is cosine"),
        (
            ["optimizer.rules=[{'pattern':'*','momentum':0.8}]"],
            r"momentum of the optimizer rule '\*' is for sgd, .* adam",
        ),
        (
            [
                "optimizer.rules=[{'pattern':'a*','learning_rate_scale':0.0,"
                "'weight_decay':0.1},{'pattern':'*'}]"
            ],
            r"weight_decay of the optimizer rule 'a\*' does nothing",
        ),
        (
            [
                "optimizer.epsilon=1e-8",
                "optimizer.rules=[{'pattern':'*','optimizer':'sgd'}]",
            ],
            "optimizer.epsilon is Adam's",
        ),
        (
            ["model.whitening_dimension=8", "extraction.whitening=learned"],
            "whitening_dimension 8 whitens .* extraction.whitening learned",
        ),
        (["training.whitening_start=random"], "whitening_dimension is 0"),
        (
            ["loss.classifier_options={'num_centres':3}"],
            "loss contrastive has no classifier",
        ),
        (["model.local_map=C5"], "model.local_map is for the local branch"),
        (
            ["loss.reconstruction_weight=1.0"],
            "loss.reconstruction_weight .* model.local_dimension is 0",
        ),
        (
            ["loss.name=arcface", "extraction.mining.size=64"],
            "extraction.mining is set, but loss arcface mines nothing",
        ),
    ],
)
def test_settings_that_nothing_uses_are_refused(assignments, message):
    recipe = loading.override_recipe(config.Config(), assignments)
    with pytest.raises(UserError, match=message):
        config.validate(recipe)


def test_an_evaluation_needs_no_training_split():
    recipe = loading.override_recipe(
        config.Config(),
        [
            "training.epochs=0",
            "data.train_split=",
            "data.validation_split=",
            "extraction.whitening=none",
        ],
    )
    assert config.validate(recipe) is recipe


_ATTENTIVE = [
    "model.pooling=attentive",
    "loss.name=softmax",
    "image.resize=square",
    "training.select_best=validation_map",
    "extraction.whitening=none",
]


@pytest.mark.parametrize(
    "assignments",
    [
        ["model.attention=agem"],
        ["image.resize=aspect", "model.batch_norm=trainable"],
        ["model.attention_placement=('C4', 'blocks')"],
        ["data.validation_split="],
        ["extraction.scales=()"],
        ["training.epochs=0", "evaluation.untrained=False"],
        ["training.jit_compile=True"],
        [
            "image.resize=square",
            "training.jit_compile=True",
            "training.deterministic=True",
        ],
        ["extraction.mining.size=8"],
        ["image.size=64", "extraction.test.buckets=((64, 32),)"],
        [
            "image.resize=square",
            "training.remat=True",
            "optimizer.average=0",
            "model.batch_norm=trainable",
        ],
        ["optimizer.schedule=epochs", "optimizer.warmup_steps=3"],
        ["optimizer.schedule=constant", "optimizer.schedule_options={'a': 1}"],
        ["optimizer.schedule=piecewise", "optimizer.schedule_options={}"],
        [
            "image.resize=square",
            "optimizer.average=0.9",
            "model.batch_norm=trainable",
        ],
        _ATTENTIVE + ["optimizer.average=0.9"],
        _ATTENTIVE + ["optimizer.average=0", "training.accumulate_steps=2"],
    ],
)
def test_impossible_combinations_are_refused(assignments):
    with pytest.raises(UserError, match="Recipe: "):
        config.validate(loading.override_recipe(config.Config(), assignments))


def test_frozen_statistics_of_the_attention_may_be_averaged():
    assignments = [
        *_ATTENTIVE,
        "model.pooling_options={'batch_norm': 'frozen_statistics'}",
        "optimizer.average=0.9",
        "training.accumulate_steps=2",
    ]
    recipe = loading.override_recipe(config.Config(), assignments)
    assert config.validate(recipe) is recipe
    recipe.model.pooling_options = {}
    with pytest.raises(UserError, match="model.pooling_options to frozen_stat"):
        config.validate(recipe)


def test_json_round_trip():
    recipe = config.Config()
    recipe.optimizer.rules[0].pattern = "x"
    again = loading.recipe_from_dict(loading.recipe_to_dict(recipe))
    assert dataclasses.asdict(again) == dataclasses.asdict(recipe)


@pytest.mark.parametrize(
    ("damaged", "message"),
    [
        ('{"image": {"size": "big"}}', "image.size must be of type int"),
        ('{"image": {"sise": 3}}', "'image.sise'; did you mean 'size'"),
        ('{"image": 3}', "image must be of type ImageConfig"),
        ('{"optimizer": {"decay": NaN}}', "optimizer.decay must be finite"),
        ("[1]", "must be of type Config"),
        ("null", "must be of type Config"),
    ],
)
def test_damaged_json_is_named(damaged, message):
    with pytest.raises(UserError, match=message):
        loading.recipe_from_dict(json.loads(damaged))


def test_differences_name_the_fields():
    first = loading.recipe_to_dict(config.Config())
    second = loading.recipe_to_dict(
        loading.override_recipe(config.Config(), ["image.size=64"])
    )
    assert loading.recipe_differences(first, second) == ["image.size (160, 64)"]


def test_a_recipe_file_may_have_any_name(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text(
        "from agem_tf import config\n"
        "NAME = 'mine'\n"
        "def get_config():\n"
        "    return config.Config(name=NAME)\n"
    )
    assert loading.load_recipe(path).name == "mine"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n", r"has no get_config\(\)"),
        ("def get_config(:\n", "SyntaxError"),
        ("def get_config(a): pass\n", "TypeError"),
        ("def get_config(): return missing\n", "NameError"),
        ("import no_such_module\n", "ModuleNotFoundError"),
        ("def get_config(): pass\n", "must be of type Config, not None"),
        (
            "from agem_tf import config\n"
            "def get_config(): return config.Config(loss=None)\n",
            "loss must be of type LossConfig",
        ),
        (
            "from agem_tf import config\n"
            "def get_config():\n"
            "    recipe = config.Config()\n"
            "    recipe.model.poling = 'mac'\n"
            "    return recipe\n",
            "'poling'",
        ),
    ],
)
def test_a_file_without_a_valid_recipe_is_refused(tmp_path, text, message):
    path = tmp_path / "odd.py"
    path.write_text(text)
    with pytest.raises(UserError, match=rf"odd\.py.*{message}"):
        loading.load_recipe(path)


def test_a_missing_recipe_is_named(tmp_path):
    with pytest.raises(UserError, match=r"gone\.py"):
        loading.load_recipe(tmp_path / "gone.py")

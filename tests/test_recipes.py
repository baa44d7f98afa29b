"""Recipes load, take overrides, and report every fault at once."""

import dataclasses

import pytest

from agem_tf import config, recipes
from agem_tf.errors import UserError


def test_defaults_are_a_valid_recipe():
    assert config.validate(config.Config()).name == "quickstart"


def test_overrides_take_the_type_of_their_field():
    recipe = recipes.override(
        config.Config(),
        [
            "image.size=96",
            "optimizer.learning_rate=1",
            "model.attention_placement=C4,",
            "model.weights=None",
            "data.options={'seed': 3}",
            "model.pooling=mac",
            "extraction.scales=[1, 0.5]",
        ],
    )
    assert recipe.image.size == 96
    assert recipe.optimizer.learning_rate == 1.0
    assert recipe.model.weights is None
    assert recipe.data.options == {"seed": 3}
    assert recipe.model.pooling == "mac"
    assert recipe.extraction.scales == (1.0, 0.5)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("model.poling=mac", "did you mean 'pooling'"),
        ("modle.pooling=mac", "modle.pooling"),
        ("image.size=large", "image.size must be of type int"),
        ("image.size", "name=value"),
        ("image.size.more=3", "image.size.more"),
        ("model.regional=1", "must be of type bool"),
    ],
)
def test_a_bad_override_is_named(assignment, message):
    with pytest.raises(UserError, match=message):
        recipes.override(config.Config(), [assignment])


def test_all_faults_are_reported_at_once():
    recipe = recipes.override(
        config.Config(),
        ["model.pooling=gam", "training.epochs=-1", "model.backbone=resnet51"],
    )
    with pytest.raises(UserError) as error:
        config.validate(recipe)
    for part in ("'gam'", "training.epochs", "'resnet51'", "rmac"):
        assert part in str(error.value)


@pytest.mark.parametrize(
    "assignments",
    [
        ["model.attention=agem"],
        ["image.resize=aspect", "model.batch_norm=trainable"],
        ["model.attention_placement=('C4', 'blocks')"],
        ["data.validation_split="],
        ["extraction.scales=()"],
    ],
)
def test_impossible_combinations_are_refused(assignments):
    with pytest.raises(UserError, match="Recipe: "):
        config.validate(recipes.override(config.Config(), assignments))


def test_json_round_trip():
    recipe = config.Config()
    recipe.optimizer.rules[0].pattern = "x"
    again = recipes.from_dict(recipes.to_dict(recipe))
    assert dataclasses.asdict(again) == dataclasses.asdict(recipe)


def test_differences_name_the_fields():
    first = recipes.to_dict(config.Config())
    second = recipes.to_dict(
        recipes.override(config.Config(), ["image.size=64"])
    )
    assert recipes.differences(first, second) == ["image.size (160, 64)"]


@pytest.mark.parametrize(
    "text", ["x = 1\n", "def get_config(:\n", "def get_config(a): pass\n"]
)
def test_a_file_that_is_no_recipe_is_named(tmp_path, text):
    path = tmp_path / "odd.py"
    path.write_text(text)
    with pytest.raises(UserError, match=r"odd\.py"):
        recipes.load(path)


def test_a_missing_recipe_is_named(tmp_path):
    with pytest.raises(UserError, match=r"gone\.py"):
        recipes.load(tmp_path / "gone.py")

"""Published recipes have the published constants and can be trained."""

import json
import pathlib

import numpy as np
import pytest

from agem_tf import config, extract, train, whiten
from agem_tf.config import loading
from agem_tf.datasets.preparation import prepare
from agem_tf.descriptors.whitening_learning import learn_whitening

FOLDER = pathlib.Path(__file__).parents[2] / "experiments"
RESNETS = {
    "gem_resnet101_sfm120k": ("none", "gem", False, 0),
    "agem_resnet101_sfm120k": ("agem", "gem", False, 0),
    "agem_cbam_resnet101_sfm120k": ("cbam", "gem", False, 0),
    "gem_resnet101_whitening_triplet": ("none", "gem", False, 2048),
    "rmac_resnet101_triplet": ("none", "mac", True, 2048),
}
VGGS = {"gem_vgg16_sfm120k": "gem", "siamac_vgg16_sfm120k": "mac"}
NAMES = [*RESNETS, *VGGS]


def load(name):
    return config.validate(loading.load_recipe(FOLDER / f"{name}.py"))


@pytest.mark.parametrize("name", NAMES)
def test_constants_of_the_published_training(name):
    recipe = load(name)
    assert recipe.name == name
    assert recipe.data.dataset == "retrieval_sfm_120k"
    assert recipe.image.resize == "aspect"
    assert not recipe.image.enlarge
    assert recipe.image.interpolation == "lanczos3"
    assert recipe.model.batch_norm == "frozen_statistics"
    assert (recipe.mining.num_queries, recipe.mining.pool_size) == (2000, 22000)
    assert recipe.training.batch_tuples == 5
    assert recipe.training.epochs == 100
    assert recipe.training.select_best == "validation_loss"
    assert recipe.training.precision == "float32"
    assert recipe.optimizer.decay == 0.01
    assert recipe.optimizer.epsilon == 1e-8
    assert recipe.optimizer.rules[-1] == config.OptimizerRule("*", 1.0, 1e-6)
    # Negatives are mined at the one scale of training.
    assert recipe.extraction.scales == (1.0,)


@pytest.mark.parametrize("name", NAMES)
def test_p_has_ten_times_the_rate_and_no_decay(name):
    recipe = load(name)
    rules = recipe.optimizer.rules[:-1]
    if recipe.model.attention == "agem":
        # New, so that GeM's rate could not move them.
        units = config.OptimizerRule("attention_*", 20.0, 1e-6)
        assert rules.pop() == units
        # Where the sigmoid isn't flat.
        assert recipe.model.attention_bias == 2.0
    if recipe.model.pooling == "gem":
        assert recipe.model.pooling_options == {"p": 3.0}
        assert rules == [config.OptimizerRule("pooling*/p", 10.0, 0.0)]
    else:
        assert rules == []


@pytest.mark.parametrize(
    ("name", "loss", "margin", "rate", "negatives", "size"),
    [
        ("gem_resnet101_sfm120k", "contrastive", 0.85, 5e-7, 5, 362),
        ("agem_resnet101_sfm120k", "contrastive", 0.85, 5e-7, 5, 362),
        ("agem_cbam_resnet101_sfm120k", "contrastive", 0.85, 5e-7, 5, 362),
        ("gem_vgg16_sfm120k", "contrastive", 0.75, 1e-6, 5, 362),
        ("siamac_vgg16_sfm120k", "contrastive", 0.75, 1e-6, 5, 362),
        ("gem_resnet101_whitening_triplet", "triplet", 0.5, 5e-7, 4, 1024),
        ("rmac_resnet101_triplet", "triplet", 0.1, 5e-7, 5, 362),
    ],
)
def test_constants_that_differ(name, loss, margin, rate, negatives, size):
    recipe = load(name)
    assert recipe.loss == config.LossConfig(loss, {"margin": margin})
    assert recipe.optimizer.learning_rate == rate
    assert recipe.mining.num_negatives == negatives
    assert recipe.image.size == size


@pytest.mark.parametrize(("name", "parts"), RESNETS.items())
def test_networks_on_resnet101(name, parts):
    model = load(name).model
    assert (model.backbone, model.feature_map) == ("resnet101_torch", "C5")
    assert parts == (
        model.attention,
        model.pooling,
        model.regional,
        model.whitening_dimension,
    )


@pytest.mark.parametrize(("name", "pooling"), VGGS.items())
def test_vggs_are_pooled_before_their_last_pooling(name, pooling):
    model = load(name).model
    assert (model.backbone, model.feature_map) == ("vgg16_torch", "C4")
    assert (model.attention, model.pooling) == ("none", pooling)


SMALL = [
    "model.backbone=resnet18_torch",
    "model.weights=None",
    "model.feature_map=C2",
    "image.size=64",
    "image.buckets=((64, 64),)",
    "mining.num_queries=10",
    "mining.pool_size=24",
    "mining.num_negatives=2",
    "training.epochs=2",
    "extraction.batch_size=8",
]


@pytest.fixture(scope="module")
def dataset(sfm_download, tmp_path_factory):
    return prepare(
        "retrieval_sfm_120k",
        tmp_path_factory.mktemp("prepared") / "data",
        {"source": str(sfm_download)},
    )


@pytest.fixture(scope="module")
def run(dataset, tmp_path_factory):
    """The recipe with the most parts, trained in the smallest size."""
    recipe = load("gem_resnet101_whitening_triplet")
    loading.override_recipe(
        recipe,
        [
            *SMALL,
            f"data.directory={dataset.directory}",
            "model.whitening_dimension=6",
        ],
    )
    workdir = tmp_path_factory.mktemp("run")
    train.main(train.TrainOptions(config=recipe, workdir=str(workdir)))
    return workdir


def test_a_shrunk_recipe_trains_to_its_end(run):
    history = json.loads((run / "history.json").read_text())
    rates = [5e-7 * np.exp(-0.01 * epoch) for epoch in (1, 2)]
    np.testing.assert_allclose([r["learning_rate"] for r in history], rates)
    assert all(np.isfinite(list(row.values())).all() for row in history)
    assert (run / "saved_model").is_dir()


def test_whitening_is_learned_from_the_listed_pairs(run, dataset, tmp_path):
    """The step after the training of the published recipes."""
    descriptors = extract.main(
        extract.ExtractOptions(
            workdir=str(run),
            output=str(tmp_path / "descriptors"),
            split="whiten",
        )
    )
    learned = whiten.main(
        whiten.WhitenOptions(
            descriptors=str(tmp_path / "descriptors"),
            output=str(tmp_path / "whitening"),
            data_dir=str(dataset.directory),
            split="whiten",
        )
    )
    pairs = dataset.split("whiten").pairs
    assert len(pairs) == 24
    expected = learn_whitening(descriptors.descriptors, *pairs.T)
    np.testing.assert_array_equal(learned.mean, expected.mean)
    np.testing.assert_array_equal(learned.projection, expected.projection)

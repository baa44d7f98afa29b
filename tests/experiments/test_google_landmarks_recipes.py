"""Recipes on Google Landmarks have published constants and can be trained."""

import json
import pathlib

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from agem_tf import config, train
from agem_tf.config import loading
from agem_tf.datasets.preparation import prepare

FOLDER = pathlib.Path(__file__).parents[2] / "experiments"
LANDMARKS, PHOTOS = 8, 3


def load(name):
    return config.validate(loading.load_recipe(FOLDER / f"{name}.py"))


@pytest.mark.parametrize(
    "name", ["gem_resnet101_gldv2", "agem_resnet101_gldv2"]
)
def test_the_loss_is_that_of_delg(name):
    recipe = load(name)
    assert recipe.name == name
    assert recipe.data.dataset == "google_landmarks_v2_clean"
    assert recipe.loss.name == "arcface"
    assert recipe.loss.options["margin"] == 0.1
    assert recipe.model.whitening_dimension == 2048
    assert recipe.training.whitening_start == "random"
    assert recipe.loss.options["scale"] == pytest.approx(2048**0.5, abs=0.01)
    assert (recipe.model.backbone, recipe.model.feature_map) == (
        "resnet101_torch",
        "C5",
    )


def test_agem_differs_in_its_attention_and_its_rate():
    first, second = (
        loading.recipe_to_dict(load(f"{name}_resnet101_gldv2"))
        for name in ("gem", "agem")
    )
    differing = {
        line.split(" ")[0] for line in loading.recipe_differences(first, second)
    }
    assert differing == {
        *("name", "model.attention", "model.attention_bias"),
        "optimizer.rules",
    }


@pytest.mark.parametrize(
    ("name", "rescale"),
    [
        ("delf_quickstart", (0.5, 0.7071, 1.0, 1.4142, 2.0)),
        ("delf_resnet50_gldv2", (0.25, 0.3536, 0.5, 0.7071, 1.0)),
    ],
)
def test_delf_trains_its_attention_on_a_frozen_backbone(name, rescale):
    first, second = load(f"{name}_stage1"), load(name)
    assert second.model.weights == f"runs/{first.name}"
    for recipe in (first, second):
        assert recipe.model.feature_map == "C4"
        assert recipe.loss.name == "softmax"
    assert second.model.pooling == "attentive"
    assert second.model.batch_norm == "frozen"
    assert second.training.rescale == rescale
    rules = second.optimizer.rules
    rates = {rule.pattern: rule.learning_rate_scale for rule in rules}
    assert rates.pop("*") == 0 and rates.keys() == {"pooling/*", "classifier/*"}
    assert rules[0].weight_decay == 1e-4


def test_delg_has_the_papers_branch_and_weights():
    recipe = load("delg_resnet50_gldv2")
    model, loss = recipe.model, recipe.loss
    assert (model.backbone, model.feature_map) == ("resnet50", "C5")
    assert (model.local_map, model.local_dimension) == ("C4", 128)
    assert model.local_options == {"filters": 512}
    assert (loss.attention_weight, loss.reconstruction_weight) == (1, 10)
    assert loss.name == "arcface" and loss.options["margin"] == 0.1
    assert recipe.training.rescale == ()


@pytest.fixture
def dataset(tmp_path):
    """A small Google Landmarks v2-clean; a quarter of it for validation."""
    rng = np.random.default_rng(0)
    lines = ["landmark_id,images"]
    for landmark in range(LANDMARKS):
        names = [f"{landmark}{photo}00" for photo in range(PHOTOS)]
        lines.append(f"{1000 - landmark},{' '.join(names)}")
        for name in names:
            path = (
                tmp_path / "source/train" / "/".join(name[:3]) / f"{name}.jpg"
            )
            path.parent.mkdir(parents=True)
            pixels = rng.integers(0, 255, (48, 64, 3), np.uint8)
            PIL.Image.fromarray(pixels).save(path)
    listing = tmp_path / "source/train/train_clean.csv"
    listing.write_text("\n".join(lines) + "\n")
    return prepare(
        "google_landmarks_v2_clean",
        tmp_path / "data",
        {"source": str(tmp_path / "source"), "validation": 0.25},
    )


def test_shrunk_recipes_of_delf_follow_each_other(dataset, tmp_path):
    small = [
        f"data.directory={dataset.directory}",
        "model.backbone=vgg16",
        "model.feature_map=C2",
        "image.size=32",
        "training.batch_tuples=6",
        "training.epochs=1",
    ]
    starts = {
        "delf_resnet50_gldv2_stage1": "None",
        "delf_resnet50_gldv2": str(tmp_path / "delf_resnet50_gldv2_stage1"),
    }
    for name, start in starts.items():
        recipe = loading.override_recipe(
            load(name), [*small, f"model.weights={start}"]
        )
        train.main(
            train.TrainOptions(config=recipe, workdir=str(tmp_path / name))
        )
        (row,) = json.loads((tmp_path / name / "history.json").read_text())
        assert np.isfinite(list(row.values())).all()


def test_a_shrunk_recipe_trains_to_its_end(dataset, tmp_path):
    recipe = loading.override_recipe(
        load("gem_resnet101_gldv2"),
        [
            f"data.directory={dataset.directory}",
            "model.backbone=resnet18_torch",
            "model.weights=None",
            "model.feature_map=C2",
            "model.whitening_dimension=40",
            "image.size=64",
            "training.batch_tuples=6",
            "training.epochs=1",
        ],
    )
    train.main(train.TrainOptions(config=recipe, workdir=str(tmp_path / "run")))
    (row,) = json.loads((tmp_path / "run/history.json").read_text())
    assert row["learning_rate"] == pytest.approx(5e-5 * np.exp(-0.3))
    assert np.isfinite(list(row.values())).all()
    assert 0 < row["validation_map"] <= 1
    # The linear layer started from random weights, and is exported.
    assert not (tmp_path / "run/descriptors/before_whitening").exists()
    exported = tf.saved_model.load(str(tmp_path / "run/saved_model"))
    assert (64, 40) in [tuple(v.shape) for v in exported.variables]

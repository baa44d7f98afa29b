"""Training on padded canvases is training on the photos alone."""

import json

import numpy as np
import pytest
import tensorflow as tf

from agem_tf.config import validate
from agem_tf.errors import UserError
from agem_tf.training import job, runs


@pytest.fixture
def recipe(make_recipe):
    recipe = make_recipe()
    recipe.image.resize = "aspect"
    recipe.model.backbone = "vgg16"
    recipe.model.feature_map = "C2"
    recipe.model.attention_placement = ("C2",)
    recipe.training.epochs = 1
    recipe.extraction.whitening = "none"
    recipe.data.test_split = ""
    # Below it Adam's step is not its gradient's sign, which rounding may turn.
    recipe.optimizer.epsilon = 1e-3
    return recipe


def outcome(recipe, workdir):
    job.run_recipe(recipe, workdir)
    (row,) = json.loads((workdir / "history.json").read_text())
    model = runs.open_run(workdir, tf.distribute.get_strategy()).model
    return row, model.get_weights()


def test_buckets_train_the_same_weights(recipe, tmp_path):
    alone, weights = outcome(recipe, tmp_path / "alone")
    recipe.image.buckets = ((64, 64), (64, 96), (32, 64))
    row, bucket_weights = outcome(recipe, tmp_path / "buckets")
    assert abs(alone["p"] - 3) > 1e-4
    for name in ("train_loss", "validation_loss", "p"):
        assert row[name] == pytest.approx(alone[name], rel=1e-4)
    # Rounding may change places in two of the nine rankings, each of which
    # moves the mean by at most 0.375 / 9.
    assert row["validation_map"] == pytest.approx(
        alone["validation_map"], abs=0.085
    )
    for weight, bucket_weight in zip(weights, bucket_weights, strict=True):
        np.testing.assert_allclose(weight, bucket_weight, atol=1e-6)


@pytest.mark.parametrize(
    "field, value, sentence",
    [
        ("resize", "square", "needs image.resize aspect"),
        ("buckets", [(64, 50)], r"multiples of 32, not \(64, 50\)"),
        ("buckets", [(32, 64)], r"64 pixels, add \(64, 64\)"),
    ],
)
def test_unfit_buckets_are_refused(recipe, field, value, sentence):
    recipe.image.buckets = [(64, 64)]
    setattr(recipe.image, field, value)
    with pytest.raises(UserError, match=sentence):
        validate(recipe)


def test_pooling_of_regions_is_refused(recipe):
    recipe.image.buckets = [(64, 64)]
    recipe.model.pooling = "rmac"
    with pytest.raises(UserError, match="use another model.pooling"):
        validate(recipe)

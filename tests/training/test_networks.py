"""A whitening layer starts as the whitening learned from its own network."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from agem_tf.datasets.prepared import PreparedDataset
from agem_tf.descriptors.linear_whitening import LinearWhitening
from agem_tf.descriptors.whitening_learning import learn_by_method
from agem_tf.errors import UserError
from agem_tf.extraction.extractor import Extractor
from agem_tf.models import AGeM
from agem_tf.training.networks import create_model, start_whitening


@pytest.fixture
def split(recipe):
    return PreparedDataset(recipe.data.directory).split("train")


def describe(model, split, recipe):
    strategy = tf.distribute.get_strategy()
    return Extractor(model, recipe.image, recipe.extraction, strategy).database(
        split
    )


def start(model, split, recipe, workdir):
    strategy = tf.distribute.get_strategy()
    start_whitening(model, split, workdir, recipe, strategy)


def test_the_layer_computes_the_learned_whitening(recipe, split, tmp_path):
    recipe.model.whitening_dimension = 7
    model = create_model(recipe)
    plain = AGeM.from_config(model.get_config() | {"whitening_dimension": 0})
    plain.set_weights([weight.numpy() for weight in model.weights[:-2]])
    start(model, split, recipe, tmp_path)
    unwhitened = describe(plain, split, recipe)
    whitening = learn_by_method("learned", unwhitened, split.labels)
    np.testing.assert_allclose(
        describe(model, split, recipe).descriptors,
        whitening.apply_to(unwhitened, 7).descriptors,
        atol=1e-3,
    )


def test_a_resumed_run_takes_the_start_that_it_has_learned(
    recipe, split, tmp_path
):
    def create():
        keras.utils.set_random_seed(recipe.training.seed)
        return create_model(recipe)

    recipe.model.whitening_dimension = 7
    start(create(), split, recipe, tmp_path)
    path = tmp_path / "whitening_start"
    learned = LinearWhitening.load(path)
    dataclasses.replace(learned, projection=2 * learned.projection).save(path)
    model = create()
    start(model, split, recipe, tmp_path)
    np.testing.assert_allclose(
        model.get_layer("whitening").kernel.numpy(),
        2 * learned.projection[:7].T,
        rtol=1e-6,
    )
    # It does not fit photos of another size.
    recipe.image.size = 96
    start(model, split, recipe, tmp_path)
    assert LinearWhitening.load(path).fingerprint != learned.fingerprint


def test_regions_share_a_layer_with_a_learned_start(recipe, split, tmp_path):
    recipe.model.whitening_dimension = 7
    recipe.model.regional = True
    model = create_model(recipe)
    layer = model.get_layer("pooling").whitening
    before = layer.kernel.numpy()
    start(model, split, recipe, tmp_path)
    assert not np.allclose(layer.kernel.numpy(), before)
    assert np.any(layer.bias.numpy())


def test_more_dimensions_than_the_pooling_has_are_refused(
    recipe, split, tmp_path
):
    recipe.model.whitening_dimension = 4000
    with pytest.raises(UserError, match="only .*; lower it"):
        start(create_model(recipe), split, recipe, tmp_path)

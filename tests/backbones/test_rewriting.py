"""Rewritten networks keep their weights; batch normalization and dtype."""

import random

import keras
import numpy as np
import pytest
from keras import layers

from agem_tf.backbones import Backbone
from agem_tf.backbones.rewriting import (
    copy_layer,
    rewrite,
    with_batch_norm,
    with_dtype,
)


@pytest.fixture
def backbone():
    images = keras.Input((None, None, 3), name="images")
    first = layers.Conv2D(5, 3, 4, "same", name="first")(images)
    second = layers.Conv2D(7, 3, 2, "same", name="second")(first)
    return Backbone(
        images,
        {"C2": first, "C3": second},
        {"C2": "first", "C3": "second"},
        name="small",
    )


@pytest.fixture
def images():
    return np.random.default_rng(0).uniform(0, 255, (2, 24, 40, 3))


def test_rewrite_inserts_before_later_layers(backbone, images):
    def insert(features):
        return layers.Rescaling(2.0, name="double")(features)

    rewritten = rewrite(backbone, {"first": insert})
    before, after = backbone(images), rewritten(images)
    second = backbone.get_layer("second")
    np.testing.assert_allclose(after["C2"], 2 * before["C2"], rtol=1e-6)
    np.testing.assert_allclose(after["C3"], second(after["C2"]), rtol=1e-5)
    assert rewritten.feature_layers == backbone.feature_layers


def test_rewritten_network_has_equal_weights_of_its_own(backbone, images):
    before = np.array(backbone(images)["C3"])
    rewritten = rewrite(backbone)
    rewritten.get_layer("first").kernel.assign_add(
        np.ones((3, 3, 3, 5), "float32")
    )
    np.testing.assert_array_equal(backbone(images)["C3"], before)
    assert not np.allclose(rewritten(images)["C3"], before)


def test_replaced_layer_keeps_the_weights(backbone, images):
    def replace(layer):
        copy = copy_layer(layer)
        if layer.name == "second":
            copy.activation = keras.activations.relu
        return copy

    rewritten = rewrite(backbone, replace_layer=replace)
    np.testing.assert_allclose(
        rewritten(images)["C3"],
        np.maximum(backbone(images)["C3"], 0),
        rtol=1e-5,
    )


def test_rewrite_carries_the_constants_of_normalization(images):
    inputs = keras.Input((None, None, 3), name="images")
    normalization = layers.Normalization(name="normalization")
    small = layers.AveragePooling2D(4)(inputs)
    network = Backbone(
        inputs, {"C2": normalization(small)}, {"C2": "normalization"}
    )
    normalization.set_weights(
        [np.array([1, 2, 3]), np.array([4, 9, 16]), np.array(1)]
    )
    normalization.finalize_state()
    np.testing.assert_allclose(
        rewrite(network)(images)["C2"], network(images)["C2"]
    )


def test_rewrite_rejects_an_unknown_layer(backbone):
    with pytest.raises(ValueError, match=r"Received: after=\['third'\]"):
        rewrite(backbone, {"third": lambda features: features})


@pytest.fixture
def normalized():
    images = keras.Input((None, None, 3), name="images")
    features = layers.Conv2D(5, 3, 4, "same", name="conv")(images)
    features = layers.BatchNormalization(epsilon=0.1, name="bn")(features)
    network = Backbone(images, {"C2": features}, {"C2": "bn"})
    rng = np.random.default_rng(0)
    network.get_layer("bn").set_weights(rng.uniform(1, 2, (4, 5)))
    return network


@pytest.mark.parametrize("mode", ["trainable", "frozen_statistics", "frozen"])
def test_inference_is_the_same_in_every_mode(normalized, images, mode):
    expected = np.array(normalized(images)["C2"])
    network = with_batch_norm(normalized, mode)
    np.testing.assert_allclose(network(images)["C2"], expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("mode", "statistics_move", "num_trainable"),
    [
        ("trainable", True, 4),
        ("frozen_statistics", False, 4),
        ("frozen", False, 2),
    ],
)
def test_what_training_changes(
    normalized, images, mode, statistics_move, num_trainable
):
    network = with_batch_norm(normalized, mode)
    before = np.array(network.get_layer("bn").moving_mean)
    network(images, training=True)
    moved = not np.allclose(network.get_layer("bn").moving_mean, before)
    assert moved == statistics_move
    assert len(network.trainable_variables) == num_trainable


def test_frozen_survives_a_rewrite(normalized):
    network = rewrite(with_batch_norm(normalized, "frozen"))
    assert len(network.trainable_variables) == 2


def test_dtype_reaches_layers_within_layers(images):
    inputs = keras.Input((None, None, 3), name="images")
    stem = keras.Sequential([layers.Conv2D(5, 3, 4, "same")], name="stem")
    network = Backbone(inputs, {"C2": stem(inputs)}, {"C2": "stem"})
    state = random.getstate()
    half = with_dtype(network, "mixed_bfloat16")
    assert random.getstate() == state
    convolution = half.get_layer("stem").layers[-1]
    assert convolution.compute_dtype == "bfloat16"
    features = half(images)["C2"]
    assert features.dtype == "bfloat16"
    expected = network(images)["C2"]
    np.testing.assert_allclose(
        keras.ops.cast(features, "float32"),
        expected,
        atol=np.abs(expected).max() / 32,
    )
    assert with_dtype(network, None) is network

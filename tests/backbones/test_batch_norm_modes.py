"""The three modes of batch normalization."""

import keras
import numpy as np
import pytest
from keras import layers

from agem_tf.backbones import Backbone
from agem_tf.backbones.batch_norm_modes import apply_mode


@pytest.fixture
def backbone():
    images = keras.Input((None, None, 3), name="images")
    features = layers.Conv2D(5, 3, 4, "same", name="conv")(images)
    features = layers.BatchNormalization(epsilon=0.1, name="bn")(features)
    network = Backbone(images, {"C2": features}, {"C2": "bn"})
    rng = np.random.default_rng(0)
    network.get_layer("bn").set_weights(rng.uniform(1, 2, (4, 5)))
    return network


@pytest.fixture
def images():
    return np.random.default_rng(1).uniform(0, 255, (2, 24, 40, 3))


@pytest.mark.parametrize("mode", ["trainable", "frozen_statistics", "frozen"])
def test_inference_is_the_same_in_every_mode(backbone, images, mode):
    expected = np.array(backbone(images)["C2"])
    network = apply_mode(backbone, mode)
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
    backbone, images, mode, statistics_move, num_trainable
):
    network = apply_mode(backbone, mode)
    before = np.array(network.get_layer("bn").moving_mean)
    network(images, training=True)
    moved = not np.allclose(network.get_layer("bn").moving_mean, before)
    assert moved == statistics_move
    assert len(network.trainable_variables) == num_trainable


def test_frozen_survives_a_rewrite(backbone):
    network = apply_mode(backbone, "frozen").rewrite()
    assert len(network.trainable_variables) == 2


def test_rejects_an_unknown_mode(backbone):
    with pytest.raises(ValueError, match="Received: batch_norm='off'"):
        apply_mode(backbone, "off")

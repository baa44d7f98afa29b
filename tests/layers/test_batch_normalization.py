"""Batch normalization with frozen statistics."""

import keras
import numpy as np

from agem_tf.layers import FrozenStatisticsBatchNormalization


def _features():
    return np.random.default_rng(14).normal(2, 3, (4, 5, 6, 3))


def test_training_uses_and_keeps_the_moving_statistics(randomize):
    x = _features().astype("float32")
    layer = FrozenStatisticsBatchNormalization(epsilon=1e-5)
    layer.build(x.shape)
    randomize(layer)
    gamma, beta, mean, variance = layer.get_weights()
    expected = gamma * (x - mean) / np.sqrt(variance + 1e-5) + beta
    np.testing.assert_allclose(layer(x, training=True), expected, rtol=1e-4)
    np.testing.assert_array_equal(layer.moving_mean, mean)
    np.testing.assert_array_equal(layer.moving_variance, variance)


def test_gamma_and_beta_are_trainable():
    layer = FrozenStatisticsBatchNormalization()
    layer.build((None, None, None, 3))
    names = [variable.name for variable in layer.trainable_variables]
    assert names == ["gamma", "beta"]


def test_takes_the_weights_of_batch_normalization():
    x = _features().astype("float32")
    original = keras.layers.BatchNormalization()
    original(x, training=True)
    frozen = FrozenStatisticsBatchNormalization.from_config(
        original.get_config()
    )
    frozen.build(x.shape)
    frozen.set_weights(original.get_weights())
    np.testing.assert_allclose(
        frozen(x, training=True), original(x, training=False), rtol=1e-6
    )

"""CBAM's gates against published sizes and plain NumPy."""

import keras
import numpy as np
import pytest

from agem_tf.layers import CBAM, ChannelAttention, SpatialAttention


def _features(shape=(2, 5, 7, 6)):
    values = np.random.default_rng(7).normal(size=shape)
    return np.maximum(values, 0).astype("float32")


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize(
    "channels, expected",
    # Trainable parameters of github.com/Jongchan/attention-module.
    [
        (64, 680),
        (128, 2_284),
        (256, 8_564),
        (512, 33_412),
        (1024, 132_260),
        (2048, 526_564),
    ],
)
def test_cbam_has_the_published_number_of_parameters(channels, expected):
    layer = CBAM()
    layer.build((None, None, None, channels))
    count = sum(np.prod(v.shape) for v in layer.trainable_variables)
    assert count == expected


def test_channel_attention_equals_its_definition(randomize):
    x = _features()
    layer = ChannelAttention(reduction=3)
    layer.build(x.shape)
    randomize(layer)
    hidden_kernel, hidden_bias, kernel, bias = layer.get_weights()
    hidden_bias -= 3.0
    layer.set_weights([hidden_kernel, hidden_bias, kernel, bias])
    logits = 0
    for pooled in (x.mean((1, 2)), x.max((1, 2))):
        hidden = np.maximum(pooled @ hidden_kernel + hidden_bias, 0)
        logits = logits + hidden @ kernel + bias
    scores = _sigmoid(logits)[:, None, None]
    np.testing.assert_allclose(layer.attention(x), scores, rtol=1e-5)
    np.testing.assert_allclose(layer(x), x * scores, rtol=1e-5)


def test_channel_attention_of_few_channels_keeps_a_hidden_unit():
    layer = ChannelAttention(reduction=16)
    layer.build((None, None, None, 6))
    assert layer.get_weights()[0].shape == (6, 1)


def test_spatial_attention_equals_a_loop(randomize):
    x = _features()
    layer = SpatialAttention(kernel_size=3)
    layer.build(x.shape)
    randomize(layer)
    kernel, gamma, beta, mean, variance = layer.get_weights()
    statistics = np.stack([x.max(-1), x.mean(-1)], axis=-1)
    padded = np.pad(statistics, [(0, 0), (1, 1), (1, 1), (0, 0)])
    scores = np.zeros((2, 5, 7, 1))
    for row in range(5):
        for column in range(7):
            window = padded[:, row : row + 3, column : column + 3]
            sums = (window * kernel[..., 0]).sum((1, 2, 3))
            normalized = (sums - mean) / np.sqrt(variance + 1e-5)
            scores[:, row, column, 0] = _sigmoid(gamma * normalized + beta)
    np.testing.assert_allclose(layer.attention(x), scores, rtol=1e-5)
    np.testing.assert_allclose(layer(x), x * scores, rtol=1e-5)


def test_untrained_spatial_attention_is_one_half_everywhere():
    x = _features()
    layer = SpatialAttention()
    for training in (False, True):
        np.testing.assert_array_equal(layer(x, training=training), 0.5 * x)


def test_cbam_applies_the_channel_gate_first(randomize):
    x = _features()
    layer = CBAM(reduction=2, kernel_size=3)
    layer.build(x.shape)
    randomize(layer)
    refined = layer.channel(x)
    np.testing.assert_allclose(layer(x), layer.spatial(refined), rtol=1e-6)
    scores = layer.attention(x)
    assert scores.shape == (2, 5, 7, 1)
    np.testing.assert_allclose(layer(x), refined * scores, rtol=1e-6)


@pytest.mark.parametrize("batch_norm", ["trainable", "frozen_statistics"])
def test_only_trainable_statistics_follow_the_batch(batch_norm):
    layer = CBAM(reduction=2, batch_norm=batch_norm)
    layer(_features(), training=True)
    mean, variance = layer.spatial.get_weights()[-2:]
    moved = mean != 0 or variance != 1
    assert moved == (batch_norm == "trainable")


def test_attention_of_a_half_precision_layer_takes_float32_maps():
    x = _features()
    layer = CBAM(reduction=2, dtype="mixed_float16")
    layer(x)
    scores = keras.ops.cast(layer.attention(x), "float32")
    np.testing.assert_array_equal(scores, np.full((2, 5, 7, 1), 0.5))

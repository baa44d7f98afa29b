"""Preprocessing equals that of each family in Keras."""

import numpy as np
import pytest

from agem_tf.backbones.preprocessing import ChannelScaling


def test_reverses_then_scales_each_channel():
    layer = ChannelScaling((1, 2, 3), (1, 2, 4), reverse_channels=True)
    images = np.reshape([[9.0, 6.0, 2.0], [0.0, 0.0, 0.0]], (1, 1, 2, 3))
    expected = [[1.0, 2.0, 1.5], [-1.0, -1.0, -0.75]]
    np.testing.assert_allclose(np.squeeze(layer(images)), expected)


def test_config_builds_an_equal_layer():
    layer = ChannelScaling((1, 2, 3), (1, 2, 4), reverse_channels=True)
    copy = ChannelScaling.from_config(layer.get_config())
    images = np.random.default_rng(0).uniform(0, 255, (2, 3, 4, 3))
    np.testing.assert_array_equal(copy(images), layer(images))


def test_stays_float32_under_mixed_precision():
    layer = ChannelScaling((0, 0, 0))
    images = np.full((1, 2, 3, 3), 200.3, "float32")
    np.testing.assert_array_equal(layer(images), images)
    assert ChannelScaling((0, 0, 0)).compute_dtype == "float32"


@pytest.mark.parametrize(
    ("mean", "deviation", "named"),
    [((1, 2), (1, 1, 1), "mean"), ((1, 2, 3), (1, 1, 0), "deviation")],
)
def test_rejects_wrong_values(mean, deviation, named):
    with pytest.raises(ValueError, match=f"Received: {named}="):
        ChannelScaling(mean, deviation)

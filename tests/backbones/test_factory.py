"""Backbones by name, and refusals that say what is known."""

import numpy as np
import pytest

from agem_tf import backbones


def test_unknown_name_lists_the_known():
    with pytest.raises(ValueError, match="vgg16.*Received: backbone='vgg'"):
        backbones.create("vgg")


def test_other_pixel_values_take_the_place_of_its_own():
    """Weights of PyTorch's VGG16 are those of Keras' on other values."""
    network = backbones.create("vgg16_torch")
    other = backbones.create(
        "vgg16",
        preprocessing={
            "mean": [123.675, 116.28, 103.53],
            "deviation": [58.395, 57.12, 57.375],
        },
    )
    other.set_weights(network.get_weights())
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 48, 3))
    np.testing.assert_allclose(
        other(images)["C4"], network(images)["C4"], atol=1e-6
    )
    assert other.feature_layers == network.feature_layers


def test_networks_that_scale_by_themselves_are_refused():
    with pytest.raises(ValueError, match="efficientnetb0 scales its images"):
        backbones.create("efficientnetb0", preprocessing={"mean": [0, 0, 0]})

"""A backbone names its feature maps and is created by name."""

import keras
import numpy as np
import pytest
from keras import layers

from agem_tf.backbones import Backbone, create_backbone


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


def test_returns_maps_by_name_with_their_strides(backbone, images):
    maps = backbone(images)
    assert {name: tuple(x.shape) for name, x in maps.items()} == {
        "C2": (2, 6, 10, 5),
        "C3": (2, 3, 5, 7),
    }
    assert backbone.strides == {"C2": 4, "C3": 8}


def test_rejects_an_unknown_map_name():
    images = keras.Input((None, None, 3))
    with pytest.raises(ValueError, match="Received: feature_maps=.'P3'"):
        Backbone(images, {"P3": images}, {})


def test_unknown_name_lists_the_known():
    with pytest.raises(ValueError, match="vgg16.*Received: backbone='vgg'"):
        create_backbone("vgg")


def test_preprocessing_replaces_that_of_the_network():
    """PyTorch's VGG16 is Keras' with other pixel values."""
    network = create_backbone("vgg16_torch")
    other = create_backbone(
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


def test_preprocessing_inside_keras_graphs_is_not_replaced():
    with pytest.raises(ValueError, match="efficientnetb0 scales its images"):
        create_backbone("efficientnetb0", preprocessing={"mean": [0, 0, 0]})

"""Feature maps and residual branches are found in foreign networks."""

import keras
import pytest
from keras import layers

from agem_tf.backbones import graph_structure


def _convolution(inputs, filters, stride, name):
    return layers.Conv2D(filters, 3, stride, "same", name=name)(inputs)


@pytest.fixture
def network():
    images = keras.Input((None, None, 3))
    stem = _convolution(images, 4, 4, "stem")
    left = _convolution(stem, 6, 1, "left")
    right = _convolution(stem, 6, 1, "right")
    joined = layers.Concatenate(name="joined")([left, right])
    padded = layers.ZeroPadding2D(1, name="padded")(joined)
    down = layers.Conv2D(8, 3, 2, name="down")(padded)
    branch = _convolution(down, 8, 1, "branch")
    added = layers.Add(name="added")([branch, down])
    gate = layers.GlobalAveragePooling2D(keepdims=True, name="gate")(added)
    gated = layers.Multiply(name="gated")([added, gate])
    return keras.Model(images, _convolution(gated, 9, 4, "last"))


def test_maps_are_the_last_unbranched_output_of_a_stride(network):
    assert graph_structure.find_feature_layers(network) == {
        "C2": "joined",
        "C3": "gated",
        "C5": "last",
    }


def test_branch_is_the_longer_input_of_an_addition(network):
    assert graph_structure.find_residual_branches(network) == ("branch",)


def test_branches_of_equal_length_are_not_guessed():
    images = keras.Input((None, None, 3))
    left = _convolution(images, 6, 1, "left")
    right = _convolution(images, 6, 1, "right")
    network = keras.Model(images, layers.Add()([left, right]))
    assert graph_structure.find_residual_branches(network) == ()

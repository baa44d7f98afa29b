"""A backbone names its maps and can be rewritten without losing weights."""

import keras
import numpy as np
import pytest
from keras import layers

from agem_tf.backbones import Backbone
from agem_tf.backbones.backbone import copy_layer


@pytest.fixture
def backbone():
    images = keras.Input((None, None, 3), name="images")
    first = layers.Conv2D(5, 3, 4, "same", name="first")(images)
    second = layers.Conv2D(7, 3, 2, "same", name="second")(first)
    return Backbone(
        images,
        {"C2": first, "C3": second},
        {"C2": "first", "C3": "second"},
        residual_branches=["first"],
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


def test_rewrite_inserts_what_later_layers_see(backbone, images):
    seen = []

    def insert(features, outputs):
        seen.extend(outputs)
        return layers.Rescaling(2.0, name="double")(features)

    rewritten = backbone.rewrite({"first": insert})
    before, after = backbone(images), rewritten(images)
    second = backbone.get_layer("second")
    np.testing.assert_allclose(after["C2"], 2 * before["C2"], rtol=1e-6)
    np.testing.assert_allclose(after["C3"], second(after["C2"]), rtol=1e-5)
    assert "second" not in seen
    assert rewritten.feature_layers == backbone.feature_layers
    assert rewritten.residual_branches == ("first",)


def test_rewrite_gives_earlier_outputs_by_layer_name(backbone, images):
    def insert(features, outputs):
        shortcut = layers.AveragePooling2D(2)(outputs["first"])
        return layers.Concatenate()([features, shortcut])

    rewritten = backbone.rewrite({"second": insert})
    assert rewritten(images)["C3"].shape == (2, 3, 5, 12)


def test_rewritten_weights_are_equal_and_its_own(backbone, images):
    before = np.array(backbone(images)["C3"])
    rewritten = backbone.rewrite()
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

    rewritten = backbone.rewrite(replace_layer=replace)
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
        network.rewrite()(images)["C2"], network(images)["C2"]
    )


def test_rewrite_rejects_a_layer_that_is_not_there(backbone):
    with pytest.raises(ValueError, match=r"Received: after=\['third'\]"):
        backbone.rewrite({"third": lambda features, _: features})

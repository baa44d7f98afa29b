"""Any keras.applications network becomes a backbone with the right maps."""

import keras
import numpy as np
import pytest

from agem_tf import backbones, registry
from agem_tf.backbones import applications

_OWN_MODULES = {
    "convnexttiny": keras.applications.convnext,
    "densenet121": keras.applications.densenet,
    "efficientnetb0": keras.applications.efficientnet,
    "efficientnetv2b0": keras.applications.efficientnet_v2,
    "inceptionresnetv2": keras.applications.inception_resnet_v2,
    "inceptionv3": keras.applications.inception_v3,
    "mobilenet": keras.applications.mobilenet,
    "mobilenetv2": keras.applications.mobilenet_v2,
    "mobilenetv3small": keras.applications.mobilenet_v3,
    "resnet50v2": keras.applications.resnet_v2,
    "vgg16": keras.applications.vgg16,
    "vgg19": keras.applications.vgg19,
    "xception": keras.applications.xception,
}


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).uniform(0, 255, (2, 64, 96, 3))


@pytest.mark.parametrize("name", _OWN_MODULES)
def test_preprocessing_is_that_of_keras(images, name):
    expected = _OWN_MODULES[name].preprocess_input(images.copy())
    np.testing.assert_allclose(
        applications.preprocess(images, name), expected, atol=2e-4
    )


def test_every_registered_network_is_one_of_keras():
    others = {name.lower() for name in dir(keras.applications)}
    names = {
        name.removesuffix("_torch")
        for name in registry.names("backbone")
        if registry.BACKBONES[name].startswith(applications.__name__)
    }
    assert names and names <= others


@pytest.fixture(scope="module")
def mobilenet():
    return backbones.create("mobilenetv2")


def test_features_are_those_of_keras(mobilenet, images):
    reference = keras.applications.MobileNetV2(
        include_top=False, weights=None, input_shape=(None, None, 3)
    )
    reference.set_weights(mobilenet.get_weights())
    preprocess = keras.applications.mobilenet_v2.preprocess_input
    np.testing.assert_allclose(
        mobilenet(images)["C5"],
        reference(preprocess(images.copy())),
        atol=1e-4,
    )


def test_maps_have_their_strides(mobilenet, images):
    maps = mobilenet(images)
    assert {name: tuple(x.shape[1:3]) for name, x in maps.items()} == {
        "C2": (16, 24),
        "C3": (8, 12),
        "C4": (4, 6),
        "C5": (2, 3),
    }
    assert len(mobilenet.residual_branches) == 10


def test_weights_file_of_the_network_is_read(mobilenet, images, tmp_path):
    path = tmp_path / "mobilenet.weights.h5"
    mobilenet.save_weights(path)
    copy = backbones.create("mobilenetv2", path)
    np.testing.assert_array_equal(copy(images)["C5"], mobilenet(images)["C5"])


def test_efficientnet_is_complete_without_downloaded_weights():
    backbone = backbones.create("efficientnetb0")
    scalings = [
        layer
        for layer in backbone.layers
        if isinstance(layer, keras.layers.Rescaling)
    ]
    np.testing.assert_allclose(
        scalings[-1].scale, [0.229**-0.5, 0.224**-0.5, 0.225**-0.5]
    )


def test_vgg_has_the_map_before_its_last_pooling(images):
    backbone = backbones.create("vgg16")
    assert backbone.feature_layers["C4"] == "block5_conv3"
    assert backbone.residual_branches == ()
    assert backbone(images)["C4"].shape == (2, 4, 6, 512)

"""Any keras.applications network becomes a backbone with the right maps."""

import keras
import numpy as np
import pytest
from keras import layers

from agem_tf import registry
from agem_tf.backbones import applications, create_backbone

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
        applications.scale_pixels(images, name), expected, atol=2e-4
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
    return create_backbone("mobilenetv2")


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


def test_weights_file_of_the_network_is_read(mobilenet, images, tmp_path):
    path = tmp_path / "mobilenet.weights.h5"
    mobilenet.save_weights(path)
    copy = create_backbone("mobilenetv2", path)
    np.testing.assert_array_equal(copy(images)["C5"], mobilenet(images)["C5"])


def test_efficientnet_is_complete_without_downloaded_weights():
    backbone = create_backbone("efficientnetb0")
    scalings = [
        layer
        for layer in backbone.layers
        if isinstance(layer, keras.layers.Rescaling)
    ]
    np.testing.assert_allclose(
        scalings[-1].scale, [0.229**-0.5, 0.224**-0.5, 0.225**-0.5]
    )


def test_vgg_has_the_map_before_its_last_pooling(images):
    backbone = create_backbone("vgg16")
    assert backbone.feature_layers["C4"] == "block5_conv3"
    assert backbone(images)["C4"].shape == (2, 4, 6, 512)


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
    assert applications.find_feature_layers(network) == {
        "C2": "joined",
        "C3": "gated",
        "C5": "last",
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attention": "agem"}, "vgg16 has no conv5 of three blocks"),
        (
            {"attention": "cbam", "attention_placement": ("blocks",)},
            "not those of vgg16; name feature maps instead",
        ),
        (
            {"attention": "cbam", "attention_placement": ("C1",)},
            "feature maps of vgg16, of .'C2', 'C3', 'C4'",
        ),
    ],
)
def test_attention_without_a_place_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        create_backbone("vgg16", **options)


def test_options_change_no_kernel(mobilenet, images):
    """Frozen statistics and untrained CBAM in half precision."""
    attended = create_backbone(
        "mobilenetv2",
        batch_norm="frozen_statistics",
        attention="cbam",
        attention_placement=("C3", "C5"),
        dtype="mixed_bfloat16",
    )
    for layer in mobilenet.layers:
        copy = attended.get_layer(layer.name)
        copy.set_weights(layer.get_weights())
    before, after = mobilenet(images), attended(images)
    assert attended.get_layer("Conv_1").compute_dtype == "bfloat16"
    expected = np.asarray(before["C3"])
    np.testing.assert_allclose(
        4 * np.asarray(keras.ops.cast(after["C3"], "float32")),
        expected,
        atol=expected.max() / 16,
    )

"""Attention enters where the papers put it."""

import keras
import numpy as np
import pytest
from keras import layers

from agem_tf import backbones
from agem_tf.backbones import Backbone
from agem_tf.layers import CBAM
from agem_tf.models.attention_wiring import add_attention


@pytest.fixture(scope="module")
def lite0():
    return backbones.create("efficientnet_lite0")


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).uniform(0, 255, (2, 64, 96, 3))


def _network(conv4_channels, conv5_channels):
    """A network with the end of a ResNet: conv4 and conv5's three blocks."""
    images = keras.Input((None, None, 3), name="images")
    names = ("conv4", "block1", "block2", "block3")
    features, maps = images, {}
    for name, stride in zip(names, (16, 2, 1, 1), strict=True):
        channels = conv4_channels if name == "conv4" else conv5_channels
        features = layers.Conv2D(
            channels, 1, stride, activation="relu", name=name
        )(features)
        maps["C4" if name == "conv4" else "C5"] = features
    feature_layers = {"C4": "conv4", "C5": "block3"}
    return Backbone(images, maps, feature_layers, conv5_blocks=names)


@pytest.mark.parametrize(
    ("merge", "expected"),
    [
        ("residual", lambda features: 1.5 * features),
        ("add", lambda features: features + 0.5),
        ("mul", lambda features: 0.5 * features),
    ],
)
def test_units_multiply_two_blocks_and_merge_the_third(images, merge, expected):
    """With a bias of 0 the untrained scores are 0.5 everywhere."""
    network = _network(6, 8)
    maps = add_attention(network, "agem", merge=merge, bias=0.0)(images)
    block1, block2, block3 = (
        network.get_layer(name) for name in network.conv5_blocks[1:]
    )
    features = network(images)["C4"]
    features = block3(0.5 * block2(0.5 * block1(features)))
    np.testing.assert_allclose(maps["C5"], expected(features), rtol=1e-4)


def test_first_unit_scores_conv4_and_the_others_the_block_before(images):
    network = add_attention(_network(6, 8), "agem")
    sources = {
        "attention_1": "conv4",
        "attention_2_1": "attended_1",
        "attention_2_2": "attended_2_1",
    }
    for unit, source in sources.items():
        assert network.get_layer(unit).input is network.get_layer(source).output


def test_units_have_the_size_of_the_paper():
    """Att1 15,466,496 + 4,096 + 2,048 and twice 4,196,352, for 1024 -> 2048."""
    network = add_attention(_network(1024, 2048), "agem")
    added = [
        np.prod(variable.shape)
        for layer in network.layers
        if layer.name.startswith("attention_")
        for variable in layer.trainable_variables
    ]
    assert sum(added) == 23_865_344


def test_cbam_changes_the_chosen_maps_only(lite0, images):
    attended = add_attention(lite0, "cbam", ("C4",))
    before, after = lite0(images), attended(images)
    np.testing.assert_allclose(after["C3"], before["C3"], rtol=1e-5)
    layer = attended.get_layer("attention_C4")
    np.testing.assert_allclose(after["C4"], layer(before["C4"]), rtol=1e-4)
    assert not np.allclose(after["C5"], before["C5"])


def test_cbam_enters_every_residual_branch(lite0):
    attended = add_attention(lite0, "cbam", ("blocks",))
    modules = [x for x in attended.layers if isinstance(x, CBAM)]
    assert len(modules) == len(lite0.residual_branches)
    for branch in lite0.residual_branches:
        addition = attended.get_layer(branch.replace("project_bn", "add"))
        module = attended.get_layer(f"attention_{branch}")
        assert any(x is module.output for x in addition.input)


def test_no_attention_leaves_the_network_alone(lite0):
    assert add_attention(lite0, "none") is lite0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attention": "se"}, "'cbam', 'agem', 'none'.*attention='se'"),
        ({"attention": "agem"}, "no conv5 of three blocks"),
        ({"attention": "cbam", "placement": "C5"}, "'C2', 'C3'"),
        ({"attention": "cbam", "placement": ("C6",)}, "placement=.'C6'"),
        ({"attention": "cbam", "merge": "max"}, "attention_merge='max'"),
    ],
)
def test_what_does_not_fit_is_refused(lite0, options, message):
    with pytest.raises(ValueError, match=message):
        add_attention(lite0, **options)


def test_blocks_need_known_branches():
    vgg = backbones.create("vgg16")
    with pytest.raises(ValueError, match="vgg16 has no residual branches"):
        add_attention(vgg, "cbam", ("blocks",))

"""Options of backbones: attention enters where the papers put it; seeds."""

import random

import keras
import numpy as np
import pytest
from keras import layers

from agem_tf.backbones import create_backbone
from agem_tf.backbones.options import BackboneOptions


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).uniform(0, 255, (2, 64, 96, 3))


def _network(conv4_channels, conv5_channels, **options):
    """A network with the end of a ResNet: conv4 and conv5's three blocks."""
    options = BackboneOptions(attention="agem", **options)
    images = keras.Input((None, None, 3), name="images")
    source = conv4 = layers.Conv2D(
        conv4_channels, 1, 16, activation="relu", name="conv4"
    )(images)
    for block, stride in ((1, 2), (2, 1), (3, 1)):
        features = layers.Conv2D(
            conv5_channels, 1, stride, activation="relu", name=f"block{block}"
        )(source)
        source = options.attend_conv5(block, features, source)
    return keras.Model(images, {"C4": conv4, "C5": source})


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
    network = _network(6, 8, attention_merge=merge, attention_bias=0.0)
    maps = network(images)
    block1, block2, block3 = (
        network.get_layer(name) for name in ("block1", "block2", "block3")
    )
    features = maps["C4"]
    features = block3(0.5 * block2(0.5 * block1(features)))
    np.testing.assert_allclose(maps["C5"], expected(features), rtol=1e-4)


def test_first_unit_scores_conv4_and_the_others_the_block_before(images):
    network = _network(6, 8)
    sources = {
        "attention_1": "conv4",
        "attention_2_1": "attended_1",
        "attention_2_2": "attended_2_1",
    }
    for unit, source in sources.items():
        assert network.get_layer(unit).input is network.get_layer(source).output


def test_units_have_the_size_of_the_paper():
    """Att1 15,466,496 + 4,096 + 2,048 and twice 4,196,352, for 1024 -> 2048."""
    network = _network(1024, 2048)
    added = [
        np.prod(variable.shape)
        for layer in network.layers
        if layer.name.startswith("attention_")
        for variable in layer.trainable_variables
    ]
    assert sum(added) == 23_865_344


def _lite0(**options):
    keras.utils.set_random_seed(4)
    return create_backbone("efficientnet_lite0", **options)


def test_cbam_changes_the_chosen_maps_only(images):
    attended = _lite0(attention="cbam", attention_placement=("C4",))
    before, after = _lite0()(images), attended(images)
    np.testing.assert_allclose(after["C3"], before["C3"], rtol=1e-5)
    layer = attended.get_layer("attention_C4")
    np.testing.assert_allclose(after["C4"], layer(before["C4"]), rtol=1e-4)
    assert not np.allclose(after["C5"], before["C5"])


def test_no_attention_leaves_the_network_alone():
    options, features = BackboneOptions(), keras.KerasTensor((1, 2, 3, 8))
    assert options.attend_map("C5", features) is features
    assert options.attend_branch("block", features) is features
    assert options.attend_conv5(1, features, features) is features


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attention": "se"}, "'cbam', 'agem', 'none'.*attention='se'"),
        ({"attention": "agem"}, "no conv5 of three blocks"),
        ({"attention": "cbam", "attention_placement": "C5"}, "'C2', 'C3'"),
        (
            {"attention": "cbam", "attention_placement": ("C6",)},
            "placement=.'C6'",
        ),
        (
            {"attention": "cbam", "attention_merge": "max"},
            "attention_merge='max'",
        ),
        ({"batch_norm": "off"}, "Received: batch_norm='off'"),
    ],
)
def test_unsupported_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        create_backbone("efficientnet_lite0", **options)


@pytest.mark.parametrize(
    ("options", "copies"),
    [
        ({}, 0),
        ({"batch_norm": "frozen"}, 0),
        ({"attention": "cbam"}, 1),
        ({"attention": "agem", "batch_norm": "frozen_statistics"}, 2),
        ({"preprocessing": {"mean": [0, 0, 0]}}, 1),
    ],
)
def test_kernels_take_the_first_seeds_and_skip_those_of_copies(options, copies):
    def draw():
        return random.randint(1, 10**9)

    random.seed(5)
    drawn = [draw() for _ in range(3 + copies * 3 + 1)]
    random.seed(5)
    seeds = BackboneOptions(**options).kernel_seeds(3, normalized=True)
    assert list(seeds) == drawn[:3]
    assert draw() == drawn[-1]


def test_a_network_without_normalizations_has_no_copy_for_them():
    options = BackboneOptions(batch_norm="frozen_statistics")
    random.seed(5)
    drawn = [random.randint(1, 10**9) for _ in range(3)]
    random.seed(5)
    assert list(options.kernel_seeds(2, normalized=False)) == drawn[:2]
    assert random.randint(1, 10**9) == drawn[2]

"""DELF's maps, its pooled output, its files and its receptive field."""

import keras
import numpy as np
import pytest

from agem_tf.backbones import create_backbone
from agem_tf.models import DELF, AGeM
from agem_tf.models.receptive_fields import ReceptiveField, receptive_field


@pytest.fixture(scope="module")
def model():
    return DELF("efficientnet_lite0", feature_map="C3")


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).uniform(0, 255, (2, 64, 96, 3))


def test_the_descriptor_is_the_mean_of_features_by_their_scores(model, images):
    maps = model.local_network()(images, training=False)
    features, scores = np.array(maps["features"]), np.array(maps["scores"])
    assert features.shape == (2, 8, 12, model.dimension)
    assert scores.shape == (2, 8, 12) and (scores > 0).all()
    unit = features / np.linalg.norm(features, axis=-1, keepdims=True)
    pooled = np.mean(unit * scores[..., None], axis=(1, 2))
    np.testing.assert_allclose(
        model.pooled_network()(images), pooled, atol=1e-5
    )
    pooled /= np.linalg.norm(pooled, axis=-1, keepdims=True)
    np.testing.assert_allclose(model(images), pooled, atol=1e-5)
    largest = np.max(model.attention_maps(images), axis=(1, 2))
    np.testing.assert_allclose(largest, 1, atol=1e-6)


def test_a_file_keeps_the_model(model, images, tmp_path):
    model.save(tmp_path / "delf.keras")
    loaded = keras.saving.load_model(tmp_path / "delf.keras")
    assert isinstance(loaded, DELF)
    assert loaded.get_config() == model.get_config()
    before, after = (
        each.local_network()(images, training=False) for each in (model, loaded)
    )
    np.testing.assert_allclose(after["scores"], before["scores"], rtol=1e-5)


@pytest.mark.parametrize("options", [{"pooling": "gem"}, {"regional": True}])
def test_a_pooling_without_attention_is_refused(options):
    with pytest.raises(ValueError, match="DELF pools whole maps"):
        DELF("efficientnet_lite0", **options)


def map_of(name, feature_map):
    backbone = create_backbone(name)
    return keras.Model(backbone.inputs[0], backbone.output[feature_map])


def test_receptive_field_of_resnet50_is_the_published_one():
    network = map_of("resnet50", "C4")
    assert receptive_field(network, 512) == ReceptiveField(291, 16, 145)


def first_and_last_pixel(network, side, position):
    """Rows of the image whose change reaches a position of the map."""
    import tensorflow as tf

    image = tf.Variable(
        tf.random.stateless_uniform((1, side, side, 3), (0, 1), 0, 255)
    )
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(network(image)[0, position])
    reached = np.abs(tape.gradient(value, image)).sum(axis=(0, 2, 3)) > 0
    rows = np.flatnonzero(reached)
    return rows[0], rows[-1]


@pytest.mark.parametrize("side", [160, 163])
def test_receptive_field_is_where_gradients_arrive(side):
    """In an EfficientNet the padding depends on the side of the image."""
    network = map_of("efficientnet_lite0", "C3")
    field = receptive_field(network, side)
    position = side // field.stride // 2
    start = field.stride * position - field.padding
    assert 0 < start and start + field.size < side
    assert first_and_last_pixel(network, side, position) == (
        start,
        start + field.size - 1,
    )


def test_receptive_field_of_layers_in_a_sequential_model():
    """The stem of a ConvNeXt, and what reduces its maps, are such models."""
    network = map_of("convnexttiny", "C3")
    for layer in network.layers:
        if type(layer).__name__ == "LayerScale":  # 1e-6 at first, too little.
            layer.gamma.assign(np.ones(layer.gamma.shape))
    field = receptive_field(network, 320)
    # Windows of 4 and 2 pixels, and of 7 positions in three blocks each.
    assert field == ReceptiveField(4 + 72 + 4 + 144, 8, 36 + 24 * 3)
    start = 8 * 20 - field.padding
    assert first_and_last_pixel(network, 320, 20) == (
        start,
        start + field.size - 1,
    )


def test_attention_inside_the_backbone_keeps_the_receptive_field():
    plain = AGeM("resnet18_torch", attention="none", feature_map="C3")
    attended = AGeM(
        "resnet18_torch", attention_placement=("C3",), feature_map="C3"
    )
    fields = {
        receptive_field(
            keras.Model(each.inputs[0], each.get_layer("pooling").input), 96
        )
        for each in (plain, attended)
    }
    assert len(fields) == 1

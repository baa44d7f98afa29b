"""The exported DELF, called as clients of the published module call it."""

import gc
import io
import json
import shutil

import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest
import tensorflow as tf

from agem_tf.config import ExtractionConfig, ImageConfig
from agem_tf.descriptors.linear_whitening import LinearWhitening
from agem_tf.errors import UserError
from agem_tf.extraction.local_extractor import (
    DELF_SCALES,
    DelfExtractor,
    Selection,
    checked_local_provenance,
)
from agem_tf.models import DELF, AGeM
from agem_tf.photos.screening import PhotoStatus
from agem_tf.saved_models.local_model import (
    ExportedLocalFeatures,
    export_local_model,
)
from agem_tf.saved_models.retrieval_model import (
    ExportableModel,
    load_exported,
)

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


def test_tensorflow_hub_loads_the_features(directory, photo):
    hub = pytest.importorskip("tensorflow_hub")
    found = run(hub.load(str(directory)).signatures["default"], photo)
    same = run(load_signature(directory), photo)
    for name in ("locations", "descriptors"):
        np.testing.assert_array_equal(found[name], same[name])


def test_nothing_above_the_threshold_is_an_empty_result(directory, photo):
    result = run(load_signature(directory), photo, threshold=1e6)
    assert result["locations"].shape == (0, 2)
    assert result["descriptors"].shape == (0, 5)


@pytest.mark.parametrize("sides", [(1, 1), (9, 60)])
def test_a_photo_of_less_than_ten_pixels_has_no_features(directory, sides):
    result = run(load_signature(directory), np.full((*sides, 3), 90))
    assert result["boxes"].shape == (0, 4)


def test_the_published_exports_signature_gives_the_same(directory, photo):
    """The call of tensorflow/models, whose scales are named otherwise."""
    loaded = tf.saved_model.load(str(directory))
    found = loaded.signatures["serving_default"](
        input_image=tf.constant(photo.astype(np.uint8)),
        input_scales=tf.constant(DELF_SCALES),
        input_max_feature_num=tf.constant(20),
        input_abs_thres=tf.constant(0.0),
    )
    hub = run(loaded.signatures["default"], photo)
    assert found.keys() == {"boxes", "features", "scales", "scores"}
    np.testing.assert_allclose(found["boxes"], hub["boxes"], atol=1e-3)
    np.testing.assert_allclose(found["scores"], hub["scores"], rtol=1e-4)
    np.testing.assert_allclose(found["features"], hub["descriptors"], atol=1e-4)


def encoded(pixels):
    return tf.io.encode_png(pixels).numpy()


def test_a_batch_of_encoded_photos_has_a_status_each(
    directory, model, pca, photo
):
    """Photos larger than the recipe's 96 pixels, turned, tiny and broken."""
    large = tf.image.resize(photo, (130, 200), "bicubic")
    large = tf.cast(tf.clip_by_value(large, 0, 255), tf.uint8).numpy()
    small = photo.astype(np.uint8)
    turned = io.BytesIO()
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # The camera was turned by 90 degrees.
    PIL.Image.fromarray(np.rot90(small)).save(turned, "JPEG", exif=exif)
    upright = np.array(
        PIL.ImageOps.exif_transpose(PIL.Image.open(turned)).convert("RGB")
    )
    batch = [
        encoded(large),
        b"no photo",
        encoded(small),
        encoded(np.full((4, 40, 3), 7, np.uint8)),
        turned.getvalue(),
    ]
    loaded = tf.saved_model.load(str(directory))
    found = loaded.signatures["encoded_local_features"](
        encoded_images=tf.constant(batch), max_feature_num=tf.constant(5)
    )
    found = {name: value.numpy() for name, value in found.items()}
    np.testing.assert_array_equal(
        found["status"], [0, PhotoStatus.UNSUPPORTED_FORMAT, 0, 0, 0]
    )
    np.testing.assert_array_equal(found["counts"], [5, 0, 5, 0, 5])
    assert found["descriptors"].shape == (5, 5, 5)
    extractor = DelfExtractor(
        model, IMAGE, selection=Selection(5), whitening=pca
    )
    photos = [large, None, small, None, upright]
    for number, pixels in enumerate(photos):
        if pixels is None:
            assert not found["locations"][number].any()
            continue
        (expected,) = extractor.features([pixels])
        # Decoders of JPEG differ by a grey level.
        tolerance = 0.02 if number == 4 else 1e-4
        np.testing.assert_allclose(
            found["scores"][number], expected.scores, rtol=tolerance
        )
        if number < 4:
            np.testing.assert_allclose(
                found["locations"][number][:, ::-1],
                expected.keypoints,
                atol=1e-2,
            )
            np.testing.assert_allclose(
                found["descriptors"][number], expected.descriptors, atol=1e-3
            )


def test_a_batch_without_a_valid_photo_is_empty(directory):
    loaded = tf.saved_model.load(str(directory))
    found = loaded.signatures["encoded_local_features"](
        encoded_images=tf.constant([b"x"]), max_feature_num=tf.constant(3)
    )
    assert found["counts"].numpy().tolist() == [0]
    assert found["boxes"].shape == (1, 3, 4)


def test_a_joint_export_gives_both_kinds(tmp_path, photo):
    """Global descriptors at chosen scales, and those that an index takes."""
    model = AGeM(
        "vgg16",
        feature_map="C3",
        attention="none",
        local_map="C2",
        local_dimension=6,
        local_options={"filters": 8},
    )
    extraction = ExtractionConfig(scales=(1.0, 0.7071))
    path = export_local_model(
        model, tmp_path / "joint", IMAGE, joint=extraction
    )
    small = photo.astype(np.uint8)
    found = tf.saved_model.load(str(path)).signatures["serving_default"](
        input_image=tf.constant(small),
        input_scales=tf.constant([0.5, 1.0]),
        input_max_feature_num=tf.constant(9),
        input_abs_thres=tf.constant(0.0),
        input_global_scales_ind=tf.constant([1]),
    )
    np.testing.assert_allclose(
        found["global_descriptors"],
        model(small[None].astype(np.float32)),
        atol=1e-5,
    )
    (expected,) = DelfExtractor(
        model, IMAGE, (0.5, 1.0), Selection(9)
    ).features([small])
    np.testing.assert_allclose(found["scores"], expected.scores, rtol=1e-4)
    assert found["features"].shape == (9, 6)
    exported = load_exported(path)
    in_memory = ExportableModel(model, IMAGE, extraction).extractor()
    assert exported.provenance["model"] == in_memory.provenance["model"]
    np.testing.assert_allclose(
        exported.encoded([encoded(small)]),
        in_memory.encoded([encoded(small)]),
        atol=1e-5,
    )


def test_a_whitening_of_other_settings_is_refused(model, pca, tmp_path):
    with pytest.raises(UserError, match="scales"):
        export_local_model(model, tmp_path / "x", IMAGE, (1.0,), pca)


def test_a_manifest_without_settings_is_refused(directory, tmp_path):
    forged = shutil.copytree(directory, tmp_path / "forged")
    path = forged / "manifest.json"
    manifest = json.loads(path.read_text()) | {"checksum": None}
    for changed in ({}, {"image": {}}):
        path.write_text(json.dumps(manifest | {"provenance": changed}))
        with pytest.raises(UserError, match="outputs and settings"):
            ExportedLocalFeatures(forged, 10)

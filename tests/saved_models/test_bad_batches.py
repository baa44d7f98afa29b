"""Batches of an export in which few photos are valid, or none."""

import io

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from agem_tf.config import ExtractionConfig, ImageConfig
from agem_tf.models import AGeM
from agem_tf.photos.encoding import encode_photo
from agem_tf.photos.screening import PhotoStatus
from agem_tf.saved_models.retrieval_model import export_model


@pytest.fixture(scope="module", params=["square", "aspect"])
def loaded(request, tmp_path_factory):
    path = tmp_path_factory.mktemp(request.param) / "model"
    image = ImageConfig(size=64, resize=request.param)
    export_model(AGeM(), path, image, ExtractionConfig(scales=(1.0, 0.7)))
    return tf.saved_model.load(str(path))


def photo(seed, orientation=1):
    coarse = np.random.default_rng(seed).integers(0, 255, (5, 7, 3))
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    PIL.Image.fromarray(coarse.astype(np.uint8)).resize((70, 50)).save(
        buffer, "JPEG", exif=exif
    )
    return buffer.getvalue()


BAD = {
    b"text": PhotoStatus.UNSUPPORTED_FORMAT,
    b"": PhotoStatus.UNSUPPORTED_FORMAT,
    photo(0)[:-300]: PhotoStatus.UNREADABLE,
}


@pytest.mark.parametrize("batch", [[], [*BAD]])
def test_a_batch_without_a_valid_photo(loaded, batch):
    # With oneDNN, TensorFlow's fused convolutions fail on an empty batch.
    encoded = tf.constant(batch, tf.string)
    found = loaded.signatures["encoded_images"](encoded_images=encoded)
    assert found["status"].numpy().tolist() == [BAD[each] for each in batch]
    assert found["descriptors"].shape == (len(batch), 1280)
    assert not found["descriptors"].numpy().any()


def test_no_pixels(loaded):
    none = tf.zeros((0, 64, 48, 3))
    found = loaded.signatures["serving_default"](images=none)
    assert found["descriptors"].shape == (0, 1280)
    maps = loaded.signatures["attention"](images=none)["maps"]
    assert maps.shape == (0, 2, 2)


@pytest.mark.parametrize("place", range(4))
def test_a_bad_photo_at_any_place(loaded, place):
    serve = loaded.signatures["encoded_images"]
    good = [photo(seed) for seed in range(1, 4)]
    alone = serve(encoded_images=tf.constant(good))["descriptors"].numpy()
    for bad, status in BAD.items():
        batch = [*good[:place], bad, *good[place:]]
        found = serve(encoded_images=tf.constant(batch))
        statuses = found["status"].numpy().tolist()
        assert statuses.pop(place) == status
        assert statuses == [PhotoStatus.VALID] * 3
        descriptors = found["descriptors"].numpy()
        assert not descriptors[place].any()
        np.testing.assert_allclose(
            np.delete(descriptors, place, 0), alone, atol=1e-6
        )


def test_all_orientations_are_turned_as_prepare_turns_them(loaded):
    serve = loaded.signatures["encoded_images"]
    photos = [photo(1, turn) for turn in range(1, 9)]
    prepared = [encode_photo(each, "photo").encoded for each in photos]
    np.testing.assert_allclose(
        serve(encoded_images=tf.constant(photos))["descriptors"],
        serve(encoded_images=tf.constant(prepared))["descriptors"],
        atol=1e-6,
    )

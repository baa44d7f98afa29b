"""An exported model describes photos as the model in memory does."""

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from agem_tf.errors import UserError
from agem_tf.files.atomic_writing import atomic_directory
from agem_tf.files.manifest import write_manifest
from agem_tf.photos import decoding, encoding
from agem_tf.photos.listing import list_folder
from agem_tf.retrieval.indexes import storage_at
from agem_tf.saved_models.retrieval_model import load_exported
from agem_tf.training import runs

ROTATED = 6  # EXIF: the camera was held upright, turn the photo clockwise.


@pytest.fixture(scope="module")
def run(run_directory):
    return runs.open_run(run_directory, tf.distribute.get_strategy())


@pytest.fixture(scope="module")
def extractor(indexed):
    return load_exported(storage_at(indexed).open().model)


def described(extractor, path, box=None):
    encoded = encoding.read_encoded_photo(path).encoded
    return extractor.encoded([encoded], box and [box])[0]


def test_files_are_described_in_order(extractor, photos):
    paths = list_folder(str(photos))
    batches = list(extractor.files(paths))
    assert [path for names, _ in batches for path in names] == paths
    rows = np.concatenate([rows for _, rows in batches])
    assert rows.shape == (12, extractor.dimension)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-4)
    np.testing.assert_allclose(
        rows[5], described(extractor, paths[5]), atol=1e-5
    )


def test_many_files_come_in_bounded_batches(extractor, photos):
    paths = list_folder(str(photos)) * 9
    batches = list(extractor.files(paths))
    assert len(batches) > 2
    assert [path for names, _ in batches for path in names] == paths


def test_a_photo_rotated_by_its_camera_has_one_descriptor(
    extractor, photos, tmp_path
):
    upright = PIL.Image.open(photos / "place0 0.png")
    upright.save(tmp_path / "upright.png")
    lying = upright.transpose(PIL.Image.Transpose.ROTATE_90)
    exif = PIL.Image.Exif()
    exif[0x0112] = ROTATED
    lying.save(tmp_path / "rotated.png", exif=exif)
    lying.save(tmp_path / "lying.png")
    first, second, third = (
        described(extractor, tmp_path / name)
        for name in ("upright.png", "rotated.png", "lying.png")
    )
    np.testing.assert_allclose(first, second, atol=1e-6)
    assert np.abs(first - third).max() > 1e-3


def test_a_box_is_described_as_in_training(extractor, run, photos):
    path, box = photos / "deep0" / "place1 1.jpg", (10, 5, 61, 44)
    encoded = tf.constant(encoding.read_encoded_photo(path).encoded)
    photo = decoding.photo_on_canvas(
        encoded, run.config.image, tf.constant(box, tf.float32)
    )
    height, width = photo["valid"]
    pixels = tf.cast(photo["image"][tf.newaxis, :height, :width], tf.float32)
    found = described(extractor, path, box)
    np.testing.assert_allclose(found, run.model(pixels)[0], atol=1e-5)
    whole = described(extractor, path)
    np.testing.assert_array_equal(whole, described(extractor, path, (0,) * 4))
    assert np.abs(whole - found).max() > 1e-3


def test_an_unreadable_photo_stops_or_is_skipped(extractor, photos, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xffbroken")
    (tmp_path / "empty.jpg").touch()
    good = list_folder(str(photos))[:2]
    paths = [good[0], str(tmp_path / "broken.jpg"), good[1]]
    with pytest.raises(UserError, match=r"broken\.jpg is not a readable"):
        list(extractor.files(paths))
    skipped = []
    paths.append(str(tmp_path / "empty.jpg"))
    ((names, rows),) = extractor.files(
        paths, lambda path, error: skipped.append((path, str(error)))
    )
    assert names == good
    assert len(rows) == 2
    assert [path for path, _ in skipped] == [paths[1], paths[3]]
    assert "has 0 bytes" in skipped[1][1]


def test_a_model_of_another_kind_is_refused(tmp_path):
    with atomic_directory(tmp_path / "model") as temporary:
        write_manifest(temporary, "descriptors")
    with pytest.raises(UserError, match="holds descriptors"):
        load_exported(tmp_path / "model")

"""A prepared dataset finds its photos, and names its faults."""

import json
import shutil

import numpy as np
import pytest

from agem_tf.datasets.preparation import prepare
from agem_tf.datasets.prepared import PreparedDataset
from agem_tf.errors import UserError


@pytest.fixture
def prepared(photo_folder, tmp_path):
    return make(photo_folder, tmp_path / "data")


def make(source, directory):
    options = {"source": str(source), "test": "place5", "validation": "place4"}
    return prepare("photo_folder", directory, options)


def test_find_returns_positions(prepared):
    split = prepared.split("train")
    names = [split.names[4], split.names[1]]
    np.testing.assert_array_equal(split.find(names), [4, 1])
    with pytest.raises(UserError, match=r"train has no photo 'x\.jpg'"):
        split.find(["x.jpg"])


def test_nothing_found_can_still_index(prepared):
    split = prepared.split("test")
    positions = split.find([])
    assert split.labels[positions].shape == (0,)


@pytest.mark.parametrize("method", ["split", "ground_truth"])
def test_unknown_and_repeated_splits_are_refused(prepared, method):
    open_split = getattr(prepared, method)
    with pytest.raises(UserError, match="no split 'tset'; it has train"):
        open_split("train+tset")
    with pytest.raises(UserError, match="'train' more than once"):
        open_split("train+test+train")


def test_without_training_photos_the_error_says_how_to_score(
    photo_folder, tmp_path
):
    options = {"source": str(photo_folder), "test": 1.0}
    prepared = prepare("photo_folder", tmp_path / "data", options)
    assert prepared.splits == ["test"]
    assert len(prepared.split("test")) == 18
    with pytest.raises(UserError, match="it has test. .*training.epochs=0"):
        prepared.split("train")


@pytest.mark.parametrize("name", [".DS_Store", "records/._x", "Thumbs.db"])
def test_files_of_a_desktop_do_not_prevent_overwriting(
    prepared, photo_folder, name
):
    (prepared.directory / name).write_bytes(b"")
    options = {"source": str(photo_folder), "test": 1.0}
    again = prepare("photo_folder", prepared.directory, options, overwrite=True)
    assert again.splits == ["test"]
    assert not (prepared.directory / name).exists()


@pytest.mark.parametrize("name", ["mine.jpg", ".git/config"])
def test_files_of_a_person_prevent_overwriting(prepared, photo_folder, name):
    path = prepared.directory / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"")
    options = {"source": str(photo_folder), "test": 1.0}
    with pytest.raises(UserError, match=f"holds {name}, which agem_tf did not"):
        prepare("photo_folder", prepared.directory, options, overwrite=True)
    assert path.exists()


def test_a_damaged_index_of_the_same_size_is_named(prepared, reseal):
    path = prepared.directory / "index" / "train.npz"
    content = path.read_bytes()
    path.write_bytes(content[:-30] + bytes(30))
    with pytest.raises(UserError, match=r"train\.npz differs from its check"):
        PreparedDataset(prepared.directory)
    reseal(prepared.directory)
    with pytest.raises(UserError, match=r"train\.npz.*--overwrite"):
        PreparedDataset(prepared.directory).split("train")


def test_an_index_without_a_name_per_photo_is_named(prepared, reseal):
    path = prepared.directory / "index" / "train.npz"
    with np.load(path) as file:
        arrays = dict(file)
    arrays["names"] = np.append(arrays["names"], [10, 255]).astype(np.uint8)
    np.savez(path, **arrays)
    reseal(prepared.directory)
    with pytest.raises(UserError, match=r"train\.npz has not one name per"):
        PreparedDataset(prepared.directory).split("train")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("record_files", ["../other"]),
        ("record_files", None),
        ("splits", {"train": []}),
        ("skipped", [{}]),
        ("notes", 7),
        ("notes", [7]),
        ("protocol", []),
    ],
)
def test_a_manifest_of_other_types_is_refused(prepared, key, value):
    path = prepared.directory / "manifest.json"
    content = json.loads(path.read_text()) | {"checksum": None, key: value}
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="manifest of .* is damaged"):
        PreparedDataset(prepared.directory)


def test_the_fingerprint_follows_the_photos(prepared, photo_folder, tmp_path):
    fingerprint = prepared.fingerprint
    assert len(fingerprint) == 12
    assert int(fingerprint, 16) >= 0
    assert prepared.split("train+test").fingerprint == fingerprint

    copy = shutil.copytree(prepared.directory, tmp_path / "copy")
    assert PreparedDataset(copy).fingerprint == fingerprint
    assert make(photo_folder, tmp_path / "same").fingerprint == fingerprint

    photos = photo_folder / "place0"
    shutil.copy(photos / "0.jpg", photos / "1.png")
    assert make(photo_folder, tmp_path / "other").fingerprint != fingerprint

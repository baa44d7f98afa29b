"""Photos whose records are lost are left out of everything that names them."""

import numpy as np
import pytest

from agem_tf.datasets.preparation import prepare
from agem_tf.datasets.prepared import PreparedDataset, Split
from agem_tf.errors import UserError
from agem_tf.pages.photo_sources import photos_of_split


@pytest.fixture
def prepared(photo_folder, tmp_path):
    options = {"source": str(photo_folder), "test": "place5", "validation": 0.0}
    return prepare("photo_folder", tmp_path / "data", options)


def record_file(prepared, split):
    return next((prepared.directory / "records").glob(f"*{split}.tfrecord*"))


def flip(path, position):
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def test_damaged_records_are_left_out_by_name(prepared):
    whole = prepared.split("train")
    for index in (2, 9):
        flip(record_file(prepared, "train"), int(whole.offsets[index]) + 50)
    left = PreparedDataset(prepared.directory, skip_corrupt=True)
    split = left.split("train")
    kept = np.delete(np.arange(len(whole)), [2, 9])
    assert split.names == [whole.names[index] for index in kept]
    np.testing.assert_array_equal(split.labels, whole.labels[kept])
    assert [split.read(i) for i in range(len(split))] == [
        whole.read(index) for index in kept
    ]
    assert left.lost == {"train": [whole.names[2], whole.names[9]]}
    assert split.fingerprint != whole.fingerprint
    assert left.fingerprint == prepared.fingerprint
    truth = left.ground_truth("train")
    assert truth.database_names == truth.query_names == split.names


def test_a_damaged_photo_is_missing_on_a_page(prepared):
    split = prepared.split("train")
    flip(record_file(prepared, "train"), int(split.offsets[2]) + 50)
    find = photos_of_split(split)
    assert find(split.names[2]) is find("no such photo") is None
    assert find(split.names[3]).mode == "RGB"


def test_a_damaged_length_costs_one_record_only(prepared):
    whole = prepared.split("train")
    flip(record_file(prepared, "train"), int(whole.offsets[4]))
    left = PreparedDataset(prepared.directory, skip_corrupt=True)
    assert len(left.split("train")) == len(whole) - 1


@pytest.mark.parametrize("remaining", [None, 0.5])
def test_a_shard_without_all_its_records_is_named_or_skipped(
    prepared, remaining
):
    whole = prepared.split("train")
    path = record_file(prepared, "train")
    if remaining is None:
        path.unlink()
    else:
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * remaining)])
    with pytest.raises(UserError, match=path.name):
        PreparedDataset(prepared.directory)
    left = PreparedDataset(prepared.directory, skip_corrupt=True)
    assert len(left.split("test")) == 3
    if remaining is None:
        with pytest.raises(UserError, match="No photo of split train"):
            left.split("train")
    else:
        assert 0 < len(left.split("train")) < len(whole)


def test_a_whole_dataset_loses_nothing(prepared):
    left = PreparedDataset(prepared.directory, skip_corrupt=True)
    assert left.split("train").fingerprint == prepared.fingerprint
    assert not left.lost


def test_pairs_of_lost_photos_go_and_others_keep_pointing_right():
    numbers = np.arange(6)
    pairs = np.array([[0, 1], [2, 3], [4, 5], [5, 0]])
    split = Split(
        "train",
        list("abcdef"),
        numbers,
        np.zeros((6, 4)),
        np.ones((6, 2)),
        numbers,
        numbers,
        None,
        pairs=pairs,
    )
    left = split.without(numbers == 2)
    pairs = [[left.names[i] for i in pair] for pair in left.pairs]
    assert pairs == [["a", "b"], ["e", "f"], ["f", "a"]]

"""Exact indexes."""

import tracemalloc

import numpy as np
import pytest

from agem_tf.errors import UserError
from agem_tf.retrieval.indexes import ExactIndex


def test_half_precision_stays_half_until_single_is_added(
    tmp_path, names, descriptors
):
    index = ExactIndex(16)
    index.add(names[:9], descriptors[:9].astype(np.float16))
    index.save(tmp_path)
    assert np.load(tmp_path / "descriptors.npy").dtype == np.float16
    index = ExactIndex.load(tmp_path, 16)
    index.add(names[9:21], descriptors[9:21])
    (segment,) = index.save(tmp_path)
    rows = np.load(tmp_path / segment["rows"])
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, descriptors[:21], atol=1e-3)
    np.testing.assert_array_equal(rows[9:], descriptors[9:21])


def test_photos_of_equal_similarity_keep_their_order(descriptors):
    index = ExactIndex(16)
    index.add(["b", "a"], descriptors[[0, 0]])
    index.add(["c", "d"], descriptors[[0, 9]])
    index.remove(["a"])
    (matches,) = index.search(descriptors[:1], 3)
    assert [match.name for match in matches] == ["b", "c", "d"]


def test_few_photos_are_added_without_writing_many_again(
    tmp_path, names, descriptors
):
    index = ExactIndex(16)
    index.add(names[:100], descriptors[:100])
    segments = index.save(tmp_path)
    for row in range(100, 107):
        index = ExactIndex.load(tmp_path, 16, segments)
        index.add([names[row]], descriptors[row : row + 1])
        segments = index.save(tmp_path)
        assert segments[0]["rows"] == "descriptors.npy"
    assert len(segments) == 4  # Of 100, 4, 2 and 1 photos.
    index = ExactIndex.load(tmp_path, 16, segments)
    index.remove([names[3]])
    index.rename({names[102]: "new"})
    segments = index.save(tmp_path)
    assert segments[0]["rows"] == "descriptors.npy"
    index = ExactIndex.load(tmp_path, 16, segments)
    expected = [*names[:3], *names[4:102], *names[103:107], "new"]
    assert index.names() == expected
    rows = [*range(3), *range(4, 102), *range(103, 107), 102]
    np.testing.assert_array_equal(index.descriptors, descriptors[rows])
    assert index.ghosts == 1
    (matches,) = index.search(descriptors[102:103], 106)
    assert matches[0].name == "new"
    assert {match.name for match in matches} == set(expected)


def test_a_segment_is_written_again_when_most_of_it_is_removed(
    tmp_path, names, descriptors
):
    index = ExactIndex(16)
    index.add(names, descriptors)
    index.save(tmp_path)
    index.remove(names[:200])
    (segment,) = index.save(tmp_path)
    assert index.ghosts == 0
    rows = np.load(tmp_path / segment["rows"])
    np.testing.assert_array_equal(rows, descriptors[200:])


def test_a_photo_removed_before_it_was_saved_stays_removed(
    tmp_path, names, descriptors
):
    index = ExactIndex(16)
    index.add(names[:9], descriptors[:9])
    index.remove(names[2:4])
    segments = index.save(tmp_path)
    index = ExactIndex.load(tmp_path, 16, segments)
    assert index.names() == [*names[:2], *names[4:9]]
    rows = [0, 1, *range(4, 9)]
    np.testing.assert_array_equal(index.descriptors, descriptors[rows])


def test_arrays_that_do_not_fit_are_one_sentence(tmp_path, names, descriptors):
    index = ExactIndex(16)
    index.add(names[:9], descriptors[:9])
    (segment,) = index.save(tmp_path)
    for removed in (np.array([9]), np.array([0.5]), np.ones(8, bool)):
        np.save(tmp_path / "removed.npy", removed)
        listed = [segment | {"removed": "removed.npy"}]
        with pytest.raises(UserError, match=r"removed\.npy does not fit the 9"):
            ExactIndex.load(tmp_path, 16, listed)
    for rows in (np.ones((8, 16), np.float32), np.full((9, 16), "a")):
        np.save(tmp_path / segment["rows"], rows)
        with pytest.raises(UserError, match="index the photos again"):
            ExactIndex.load(tmp_path, 16, [segment])


def test_a_name_leads_to_the_photo_that_has_it_now(descriptors):
    index = ExactIndex(descriptors.shape[1])
    index.add(["a", "b"], descriptors[:2])
    np.testing.assert_array_equal(index.descriptor("a"), descriptors[0])
    index.remove(["a"])
    assert index.descriptor("a") is None and index.known("ab") == {"b"}
    index.add(["a"], descriptors[2:3])
    index.rename({"b": "c"})
    np.testing.assert_array_equal(
        index.descriptors_of(["c", "a"]), descriptors[[1, 2]]
    )
    assert index.known("abc") == {"a", "c"}


def test_an_index_of_an_earlier_version_is_searched_and_added_to(
    tmp_path, names, descriptors
):
    index = ExactIndex(16)
    index.add(names[:9], descriptors[:9])
    (segment,) = index.save(tmp_path)
    (tmp_path / segment.pop("places")).unlink()
    index = ExactIndex.load(tmp_path, 16, [segment])
    index.add(names[9:11], descriptors[9:11])
    index = ExactIndex.load(tmp_path, 16, index.save(tmp_path))
    for row in (3, 10):
        (matches,) = index.search(descriptors[row : row + 1], 1)
        assert matches[0].name == names[row]
    assert index.known([names[3], names[10], "other"]) == {names[3], names[10]}


def test_descriptors_of_several_segments_are_not_copied(
    tmp_path, names, descriptors
):
    index = ExactIndex(16)
    index.add(names[:200], descriptors[:200])
    index = ExactIndex.load(tmp_path, 16, index.save(tmp_path))
    index.add(names[200:], descriptors[200:])
    index.remove([names[7]])
    tracemalloc.start()
    rows = index.descriptors
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert rows.shape == (299, 16) and peak < descriptors.nbytes / 2
    np.testing.assert_array_equal(rows[6:8], descriptors[[6, 8]])

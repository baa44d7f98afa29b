"""Descriptor sets, written at once or batch by batch."""

import itertools
import shutil

import numpy as np
import pytest

from agem_tf.descriptors.descriptor_set import DescriptorSet, DescriptorWriter
from agem_tf.errors import UserError

_PROVENANCE = {"model": "a1b2", "scales": (1.0, 0.5)}


def _descriptors(photos, dimension):
    rng = np.random.default_rng(0)
    return rng.normal(size=(photos, dimension)).astype(np.float32)


def _names(photos):
    return [f"photo {i}" for i in range(photos)]


def _write(directory, photos=5, dimension=3):
    descriptors = _descriptors(photos, dimension)
    DescriptorSet(_names(photos), descriptors, _PROVENANCE).save(directory)
    return descriptors


@pytest.mark.parametrize("mmap", [True, False])
def test_saved_descriptors_are_read_back(tmp_path, mmap):
    descriptors = _write(tmp_path / "set")
    loaded = DescriptorSet.load(tmp_path / "set", mmap=mmap, verify=True)
    np.testing.assert_array_equal(loaded.descriptors, descriptors)
    assert isinstance(loaded.descriptors, np.memmap) == mmap
    assert loaded.names == _names(5)
    assert loaded.provenance == {"model": "a1b2", "scales": [1.0, 0.5]}


def test_unusual_names_survive(tmp_path):
    names = ["Plaça d'Espanya", "a\u2028b", "bytes \udcff", "同"]
    DescriptorSet(names, _descriptors(4, 2)).save(tmp_path / "set")
    assert DescriptorSet.load(tmp_path / "set").names == names


@pytest.mark.parametrize("name", ["two\nlines", "carriage\rreturn", ""])
def test_names_that_need_more_than_a_line_are_refused(name):
    with pytest.raises(UserError, match="line breaks"):
        DescriptorSet(["good", name], _descriptors(2, 3))


def test_batches_make_the_same_set_as_one_save(tmp_path):
    descriptors = _write(tmp_path / "whole", photos=7)
    with DescriptorWriter(tmp_path / "parts", _names(7), 3) as writer:
        for start in (0, 3, 6):
            writer.write(descriptors[start : start + 3].astype(np.float64))
        assert not (tmp_path / "parts").exists()
    whole = (tmp_path / "whole" / "descriptors.npy").read_bytes()
    assert (tmp_path / "parts" / "descriptors.npy").read_bytes() == whole


@pytest.mark.parametrize("mmap", [True, False])
def test_half_precision_stays_and_takes_half_the_space(tmp_path, mmap):
    descriptors = _write(tmp_path / "whole", 6, 64).astype(np.float16)
    DescriptorSet(_names(6), descriptors).save(tmp_path / "half")
    loaded = DescriptorSet.load(tmp_path / "half", mmap, verify=True)
    assert loaded.descriptors.dtype == np.float16
    np.testing.assert_array_equal(loaded.descriptors, descriptors)
    whole, half = (
        (tmp_path / name / "descriptors.npy").stat().st_size
        for name in ("whole", "half")
    )
    assert whole - half == 6 * 64 * 2


def test_what_half_precision_cannot_hold_is_refused(tmp_path):
    writer = DescriptorWriter(tmp_path / "set", _names(2), 3, dtype=np.float16)
    with (
        pytest.warns(RuntimeWarning, match="overflow"),
        pytest.raises(UserError, match="'photo 1' holds NaN"),
        writer,
    ):
        writer.write(np.array([[1, 2, 3], [4, 1e6, 5]]))


def test_other_types_become_float32():
    for dtype in (np.float64, np.int64, ">f4", ">f2"):
        rows = np.arange(6).reshape(2, 3).astype(dtype)
        converted = DescriptorSet(["a", "b"], rows).descriptors
        assert converted.dtype == np.dtype("float32").newbyteorder("=")
        np.testing.assert_array_equal(converted, rows)


def test_an_empty_set_is_possible(tmp_path):
    DescriptorSet([], np.empty((0, 3))).save(tmp_path / "set")
    loaded = DescriptorSet.load(tmp_path / "set", mmap=False)
    assert loaded.descriptors.shape == (0, 3)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_names_the_photo(tmp_path, value):
    descriptors = _descriptors(4, 3)
    descriptors[2, 1] = value
    with (
        pytest.raises(UserError, match="'photo 2'"),
        DescriptorWriter(tmp_path / "set", _names(4), 3) as writer,
    ):
        writer.write(descriptors[:2])
        writer.write(descriptors[2:])
    assert list(tmp_path.iterdir()) == []


def test_missing_rows_leave_nothing_behind(tmp_path):
    with (
        pytest.raises(ValueError, match="4 descriptors, .* Received: 2"),
        DescriptorWriter(tmp_path / "set", _names(4), 3) as writer,
    ):
        writer.write(_descriptors(2, 3))
    assert list(tmp_path.iterdir()) == []


def test_surplus_rows_and_other_dimensions_are_refused(tmp_path):
    with (
        pytest.raises(ValueError, match=r"shape \(photos, 3\)"),
        DescriptorWriter(tmp_path / "set", _names(4), 3) as writer,
    ):
        writer.write(_descriptors(4, 2))
    with (
        pytest.raises(ValueError, match="5 rows, but only 4"),
        DescriptorWriter(tmp_path / "set", _names(4), 3) as writer,
    ):
        writer.write(_descriptors(5, 3))


def test_a_set_can_replace_the_file_that_it_is_mapped_from(tmp_path):
    descriptors = _write(tmp_path / "set")
    DescriptorSet.load(tmp_path / "set").save(tmp_path / "set")
    loaded = DescriptorSet.load(tmp_path / "set", mmap=False)
    np.testing.assert_array_equal(loaded.descriptors, descriptors)


def test_rows_without_names_are_refused():
    with pytest.raises(UserError, match=r"each of 3 names.*\(4, 2\)"):
        DescriptorSet(_names(3), _descriptors(4, 2))


@pytest.mark.parametrize("mmap", [True, False])
def test_a_file_that_is_no_array_is_named(tmp_path, mmap, reseal):
    _write(tmp_path / "set")
    path = tmp_path / "set" / "descriptors.npy"
    path.write_bytes(b"x" * path.stat().st_size)
    with pytest.raises(UserError, match="differs from its checksum"):
        DescriptorSet.load(tmp_path / "set", mmap=mmap)
    reseal(tmp_path / "set")
    with pytest.raises(UserError, match=r"descriptors\.npy is not a readable"):
        DescriptorSet.load(tmp_path / "set", mmap=mmap)


def test_a_truncated_copy_is_named(tmp_path):
    _write(tmp_path / "set")
    path = tmp_path / "set" / "descriptors.npy"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(UserError, match=r"descriptors\.npy has \d+ bytes"):
        DescriptorSet.load(tmp_path / "set")


def test_an_array_of_texts_is_named(tmp_path, reseal):
    _write(tmp_path / "set")
    path = tmp_path / "set" / "descriptors.npy"
    size = path.stat().st_size
    with path.open("wb") as file:
        np.save(file, np.full((5, 3), "a", "U1"))
    assert path.stat().st_size == size
    reseal(tmp_path / "set")
    with pytest.raises(UserError, match=r"descriptors\.npy holds <U1, not"):
        DescriptorSet.load(tmp_path / "set")


@pytest.fixture
def write_shards():
    """Returns a function that writes ten photos as three shards."""

    def write(directory):
        descriptors, edges = _descriptors(10, 3), (0, 4, 8, 10)
        for number, (first, end) in enumerate(itertools.pairwise(edges), 1):
            DescriptorSet(
                _names(10)[first:end], descriptors[first:end], _PROVENANCE
            ).save(f"{directory}/{number:05}-of-00003")
        return descriptors

    return write


def test_shards_are_joined_without_a_copy(write_shards, tmp_path):
    descriptors = write_shards(tmp_path)
    joined = DescriptorSet.load(tmp_path, verify=True)
    assert joined.names == _names(10)
    assert isinstance(joined.descriptors[4:8], np.memmap)
    np.testing.assert_array_equal(joined.descriptors[:], descriptors)
    np.testing.assert_array_equal(
        joined.descriptors[np.array([9, 0, 5])], descriptors[[9, 0, 5]]
    )
    joined.save(tmp_path / "one")
    one = DescriptorSet.load(tmp_path / "one")
    np.testing.assert_array_equal(one.descriptors, descriptors)


def test_remote_shards_are_joined(write_shards, object_store):
    descriptors = write_shards("gs://bucket/set.shards")
    joined = DescriptorSet.load("gs://bucket/set.shards")
    np.testing.assert_array_equal(joined.descriptors[:], descriptors)


def test_missing_shards_are_counted(write_shards, tmp_path):
    write_shards(tmp_path)
    shutil.rmtree(tmp_path / "00002-of-00003")
    with pytest.raises(UserError, match="2 finished shards, and 3 are needed"):
        DescriptorSet.load(tmp_path)


def test_shards_of_two_models_are_refused(write_shards, tmp_path):
    write_shards(tmp_path)
    DescriptorSet(["a"], _descriptors(1, 3), {"model": "other"}).save(
        tmp_path / "00002-of-00003"
    )
    with pytest.raises(UserError, match="one shard and another shard differ"):
        DescriptorSet.load(tmp_path)

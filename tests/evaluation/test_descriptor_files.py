"""Descriptors from the files in which they come."""

import numpy as np
import pytest

from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.errors import UserError
from agem_tf.evaluation.descriptor_files import (
    load_descriptors,
    load_distractors,
)
from agem_tf.retrieval.indexes import DirectoryStorage, Origin


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(4, 7)).astype(np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def test_a_descriptor_set_is_loaded(tmp_path, rows):
    DescriptorSet(list("abcd"), rows, {"model": "m"}).save(tmp_path / "set")
    loaded = load_descriptors(tmp_path / "set", list("wxyz"))
    assert loaded.names == list("abcd")
    assert loaded.provenance == {"model": "m"}


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_an_array_has_the_names_beside_it(tmp_path, rows, dtype):
    np.save(tmp_path / "rows.npy", rows.astype(dtype))
    (tmp_path / "rows.txt").write_text("b\na\r\nd\nc")
    loaded = load_descriptors(tmp_path / "rows.npy", list("wxyz"))
    assert loaded.names == ["b", "a", "d", "c"]
    assert isinstance(loaded.descriptors, np.memmap)
    np.testing.assert_array_equal(loaded.descriptors, rows.astype(dtype))


def test_an_array_without_names_has_the_given_order(tmp_path, rows):
    np.save(tmp_path / "rows.npy", rows)
    path = tmp_path / "rows.npy"
    assert load_descriptors(path, list("wxyz")).names == list("wxyz")
    with pytest.raises(UserError, match=r"no names; .* into rows\.txt beside"):
        load_descriptors(path)
    with pytest.raises(UserError, match="4 rows for 3 names"):
        load_descriptors(path, list("abc"))


def test_an_array_of_an_index_has_the_names_beside_it(tmp_path, rows):
    np.save(tmp_path / "descriptors.npy", rows)
    (tmp_path / "names.txt").write_text("d\nc\nb\na\n")
    loaded = load_descriptors(tmp_path / "descriptors.npy", list("wxyz"))
    assert loaded.names == list("dcba")


def _index(directory, factory, rows):
    with DirectoryStorage(str(directory)).created() as draft:
        origin = Origin({"model": "m"}, "photos")
        index = draft.start(factory, rows.shape[1], origin)
        index.add(["d.jpg", "c.jpg", "b.jpg", "a.jpg"], rows)


def test_an_exact_index_is_a_descriptor_set(tmp_path, rows):
    _index(tmp_path / "index", "exact", rows)
    loaded = load_descriptors(tmp_path / "index")
    assert loaded.names == ["d.jpg", "c.jpg", "b.jpg", "a.jpg"]
    assert loaded.provenance == {"model": "m"}
    np.testing.assert_array_equal(loaded.descriptors, rows)


def test_an_inexact_index_is_refused(tmp_path, rows):
    pytest.importorskip("faiss")
    _index(tmp_path / "index", "HNSW32", rows)
    with pytest.raises(UserError, match="of kind HNSW32, which keeps no"):
        load_descriptors(tmp_path / "index")


def test_a_folder_of_descriptor_sets_names_them(tmp_path, rows):
    for split in ("train", "test"):
        DescriptorSet(list("abcd"), rows).save(tmp_path / "trained" / split)
    with pytest.raises(UserError, match=r"do: test, train\. .*trained/test"):
        load_descriptors(tmp_path / "trained")


@pytest.mark.parametrize("load", [load_descriptors, load_distractors])
def test_a_missing_array_is_named(tmp_path, load):
    with pytest.raises(UserError, match=r"no file .*gone\.npy; give a dir"):
        load(tmp_path / "gone.npy")


def test_distractors_need_no_names(tmp_path, rows):
    np.save(tmp_path / "rows.npy", rows)
    names = load_distractors(tmp_path / "rows.npy").names
    assert len(set(names)) == 4
    DescriptorSet(list("abcd"), rows).save(tmp_path / "set")
    assert load_distractors(tmp_path / "set").names == list("abcd")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.T, "rows of length"),
        (lambda rows: 2 * rows, "rows of length 2; .* normalize"),
        (lambda rows: rows[0], r"Received: shape \(7,\)"),
        (lambda rows: rows.astype(int), "of int64"),
    ],
)
def test_arrays_of_something_else_are_refused(tmp_path, rows, change, message):
    np.save(tmp_path / "rows.npy", change(rows))
    with pytest.raises(UserError, match=rf"rows\.npy .*{message}"):
        load_descriptors(tmp_path / "rows.npy", list("wxyz"))


def test_a_damaged_array_is_named(tmp_path):
    (tmp_path / "rows.npy").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"rows\.npy is not a readable array"):
        load_descriptors(tmp_path / "rows.npy", ["a"])

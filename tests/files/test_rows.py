"""Descriptors by rows: files that grow, temporary files, and views."""

import itertools

import numpy as np
import pytest

from agem_tf.errors import UserError
from agem_tf.files.rows import (
    SelectedRows,
    StackedRows,
    joined_rows,
    write_rows,
)


def test_blocks_of_any_size_become_one_file(tmp_path):
    rows = np.arange(21, dtype=np.float64).reshape(7, 3)
    mapped = write_rows(tmp_path / "r.npy", [rows[:2], rows[2:6], rows[6:]], 3)
    assert isinstance(mapped, np.memmap)
    np.testing.assert_array_equal(np.load(tmp_path / "r.npy"), rows)
    assert mapped.dtype == np.float32


def test_half_precision_takes_half_the_space(tmp_path):
    blocks = [np.ones((5, 4)), np.zeros((1000, 4))]
    mapped = write_rows(tmp_path / "r.npy", blocks, 4, np.float16)
    assert mapped.dtype == np.float16
    assert mapped.shape == (1005, 4)
    assert (tmp_path / "r.npy").stat().st_size == 128 + 1005 * 4 * 2


def test_zero_rows_are_a_valid_file(tmp_path):
    assert write_rows(tmp_path / "r.npy", [], 3).shape == (0, 3)


def test_temporary_rows_leave_no_file(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("agem_tf.files.rows._MEMORY", 7 * 3 * 4 - 1)
    blocks = [np.full((rows, 3), rows, np.float64) for rows in (4, 1, 2)]
    array = joined_rows(iter(blocks), (7, 3))
    assert isinstance(array, np.memmap)
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, np.concatenate(blocks))
    assert not list(tmp_path.iterdir())


def test_a_full_temporary_directory_is_one_sentence(monkeypatch):
    monkeypatch.setattr(
        "tempfile.TemporaryFile", lambda dir: open("/dev/full", "wb")
    )
    monkeypatch.setattr("agem_tf.files.rows._MEMORY", 0)
    with pytest.raises(UserError, match=r"300 temporary .*No space.*TMPDIR"):
        joined_rows([np.zeros((300, 900))], (300, 900))


@pytest.fixture
def parts():
    rng = np.random.default_rng(0)
    sizes = (4, 0, 3, 5)
    return [rng.normal(size=(n, 3)).astype(np.float32) for n in sizes]


@pytest.mark.parametrize(
    "key",
    [
        slice(0, 12),
        slice(1, 3),
        slice(3, 8),
        slice(4, 7),
        slice(9, 100),
        slice(12, 15),
        slice(5, 5),
        slice(None, None, 2),
        slice(1, 11, 4),
        slice(10, 2, -3),
        slice(None, None, -1),
        slice(3, 8, -1),
        np.array([11, 0, 4, 4, 6]),
        np.array([[7, 2]]),
        np.array([], np.int64),
        5,
    ],
)
def test_a_stack_reads_as_its_concatenation(parts, key):
    whole, stack = np.concatenate(parts), StackedRows(parts)
    assert (stack.shape, stack.ndim, len(stack)) == ((12, 3), 2, 12)
    np.testing.assert_array_equal(stack[key], whole[key])


def test_a_slice_within_one_part_is_not_copied(parts):
    assert np.shares_memory(StackedRows(parts)[5:7], parts[2])


def test_parts_may_have_different_precisions(parts):
    stack = StackedRows([parts[0], parts[3].astype(np.float16)])
    assert stack[2:6].dtype == stack[np.array([1, 6])].dtype == np.float32
    np.testing.assert_array_equal(stack[4:9], parts[3].astype(np.float16))


def test_parts_of_different_dimensions_are_refused(parts):
    with pytest.raises(UserError, match="one dimension, not 3 and 2"):
        StackedRows([parts[0], parts[3][:, :2]])


def test_a_selection_reads_as_the_selected_rows(parts):
    rows = np.array([3, 0, 0, 2])
    selection = SelectedRows(parts[3], rows)
    assert selection.shape == (4, 3)
    for key in (slice(1, 3), np.array([3, 1]), 2):
        np.testing.assert_array_equal(selection[key], parts[3][rows][key])


def test_stacked_rows_end_as_an_array_does():
    rows = np.arange(12, dtype=np.float32).reshape(6, 2)
    stacked = StackedRows([rows[:2], rows[2:]])
    first = list(itertools.islice(stacked, 7))
    np.testing.assert_array_equal(first, rows)
    np.testing.assert_array_equal(stacked[[-1, 0]], rows[[-1, 0]])
    for missing in (6, [0, 6], -7):
        with pytest.raises(IndexError):
            stacked[missing]

"""Rows of an unknown number on disk."""

import numpy as np

from agem_tf.retrieval.indexes.storage_rows import write_rows


def test_blocks_of_any_size_become_one_file(tmp_path):
    rows = np.arange(21, dtype=np.float64).reshape(7, 3)
    mapped = write_rows(tmp_path / "r.npy", [rows[:2], rows[2:6], rows[6:]], 3)
    assert isinstance(mapped, np.memmap)
    np.testing.assert_array_equal(np.load(tmp_path / "r.npy"), rows)
    assert mapped.dtype == np.float32


def test_half_precision_takes_half_the_room(tmp_path):
    blocks = [np.ones((5, 4)), np.zeros((1000, 4))]
    mapped = write_rows(tmp_path / "r.npy", blocks, 4, np.float16)
    assert mapped.dtype == np.float16
    assert mapped.shape == (1005, 4)
    assert (tmp_path / "r.npy").stat().st_size == 128 + 1005 * 4 * 2


def test_no_rows_are_a_file_too(tmp_path):
    assert write_rows(tmp_path / "r.npy", [], 3).shape == (0, 3)

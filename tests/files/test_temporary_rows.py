"""Rows in a file that nobody sees."""

import numpy as np
import pytest

from agem_tf.errors import UserError
from agem_tf.files.rows import write_temporary


def test_blocks_become_one_array_and_no_file_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    blocks = [np.full((rows, 3), rows, np.float64) for rows in (4, 1, 2)]
    array = write_temporary(iter(blocks), (7, 3))
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, np.concatenate(blocks))
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_one_sentence(monkeypatch):
    monkeypatch.setattr(
        "tempfile.TemporaryFile", lambda: open("/dev/full", "wb")
    )
    with pytest.raises(UserError, match=r"300 temporary .*No space.*TMPDIR"):
        write_temporary([np.zeros((300, 900))], (300, 900))

"""Arrays come back as they were saved, and a damaged file is named."""

import numpy as np
import pytest

from agem_tf.errors import UserError
from agem_tf.files.arrays import load_arrays


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "index.npz"
    np.savez(path, names=np.asarray(["a", "bcd"] * 9), labels=np.arange(18))
    return path


def test_the_arrays_asked_for_are_returned(path):
    arrays = load_arrays(path, ["labels", "names"], "make it again")
    assert list(arrays) == ["labels", "names"]
    np.testing.assert_array_equal(arrays["labels"], np.arange(18))
    assert arrays["names"][3] == "bcd"


def test_a_missing_array_is_named_with_the_remedy(path):
    with pytest.raises(UserError, match=r"index\.npz.*boxes.*make it again"):
        load_arrays(path, ["labels", "boxes"], "make it again")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"gone\.npz"):
        load_arrays(tmp_path / "gone.npz", ["labels"], "make it again")


def test_any_damage_is_a_user_error(path):
    whole = path.read_bytes()
    refused = 0
    for position in range(len(whole)):
        content = bytearray(whole)
        content[position] ^= 0x45
        path.write_bytes(content)
        try:
            load_arrays(path, ["names", "labels"], "make it again")
        except UserError:
            refused += 1
    assert refused > 0.8 * len(whole)
    for length in range(0, len(whole), 9):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match="make it again"):
            load_arrays(path, ["names", "labels"], "make it again")

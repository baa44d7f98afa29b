"""Arrays come back as they were saved, and a damaged file is named."""

import errno
import io
import pathlib
import zipfile

import numpy as np
import pytest

from agem_tf.errors import UserError
from agem_tf.files.arrays import load_array, load_arrays, write_array


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


def test_altered_numbers_are_found_where_the_directory_is_altered_too(path):
    """A longer member has no end, where zipfile compares its checksum."""
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"PK\1\2")  # Of labels.npy, in the directory.
    content[entry + 23] = content[entry + 26] = 1  # Both of its sizes.
    content[content.index(np.arange(18).tobytes()) + 8] ^= 64
    path.write_bytes(content)
    with pytest.raises(UserError, match="is not readable"):
        load_arrays(path, ["labels"], "make it again")


def test_a_long_header_is_refused_in_one_line(tmp_path):
    stream = io.BytesIO()
    np.save(stream, np.arange(3))
    header = stream.getvalue()[10:128].rstrip() + b" " * 20_000 + b"\n"
    array = b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("labels.npy", array + bytes(24))
    with pytest.raises(UserError, match="Header info length") as caught:
        load_arrays(tmp_path / "x.npz", ["labels"], "make it again")
    assert "\n" not in str(caught.value)


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


def _npy(shape, item_type="<f8", data=bytes(24)):
    file = io.BytesIO()
    header = {"descr": item_type, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + data


HOSTILE = {
    "more than there is": _npy((10**10,)),
    "more than a number holds": _npy((10**30, 10**30)),
    "a negative length": _npy((-3,)),
    "objects": _npy((3,), "|O"),
    "structures": _npy((1,), [("a", "<f8"), ("b", "|O")]),
    "complex numbers": _npy((1,), "<c16"),
    "another version": b"\x93NUMPY\x07\x00" + bytes(100),
    "nested brackets": b"\x93NUMPY\x01\x00\x10\x27" + b"(" * 10_000,
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_headers_are_checked_before_anything_is_allocated(tmp_path, content):
    (tmp_path / "a.npy").write_bytes(content)
    for mmap in (True, False):
        with pytest.raises(UserError, match=r"a\.npy is not a readable"):
            load_array(tmp_path / "a.npy", mmap)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", content)
    with pytest.raises(UserError, match=r"a\.npz is not readable.*again"):
        load_arrays(tmp_path / "a.npz", ["a"], "make it again")


def test_compressed_arrays_are_refused(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", a=np.zeros(10**6))
    with pytest.raises(UserError, match=r"is compressed\); make it again"):
        load_arrays(tmp_path / "a.npz", ["a"], "make it again")


@pytest.mark.parametrize("mmap", [True, False])
def test_an_array_is_read(tmp_path, mmap):
    array = np.asfortranarray(np.arange(6, dtype="f2").reshape(2, 3))
    np.save(tmp_path / "a.npy", array)
    np.testing.assert_array_equal(load_array(tmp_path / "a.npy", mmap), array)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.int64),
        np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
        np.empty((0, 3), np.float16),
    ],
)
def test_an_array_is_written_as_numpy_reads_it(tmp_path, array):
    write_array(tmp_path / "a.npy", array)
    found = np.load(tmp_path / "a.npy")
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


def test_a_full_disk_is_recognised_by_its_error():
    with pytest.raises(OSError) as caught:
        write_array(pathlib.Path("/dev/full"), np.arange(6))
    assert caught.value.errno == errno.ENOSPC

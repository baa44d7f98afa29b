"""MATLAB files come back as they were saved, and hostile ones are refused."""

import io
import resource
import struct
import zlib

import numpy as np
import pytest
import scipy.io

from agem_tf.errors import UserError
from agem_tf.files.matlab_files import read_matlab


def _cells(*values):
    cells = np.empty((1, len(values)), object)
    cells[0, :] = values
    return cells


def _structures(number):
    structures = np.empty((1, number), [("bbx", object), ("junk", object)])
    for place in range(number):
        structures[0, place]["bbx"] = np.array([[1.5, 2, 3, place]])
        structures[0, place]["junk"] = np.zeros((1, 0))
    return structures


CONTENT = {
    "names": _cells("a", "longer name", "é", ""),
    "structures": _structures(3),
    "matrix": np.arange(6.0).reshape(2, 3),
    "integers": np.array([[1, 2]], np.uint8),
    "number": 2.5,
    "empty": np.zeros((0, 5)),
    "text": "text",
    "rows": np.array(["ab", "cd"]),
    "one cell": _cells("a"),
    "one structure": _structures(1),
    "nested": _cells(_cells("a"), _cells(np.arange(3), "b")),
}


@pytest.mark.parametrize("compressed", [False, True])
def test_files_of_scipy_are_read(compressed):
    file = io.BytesIO()
    scipy.io.savemat(file, CONTENT, do_compression=compressed)
    read = read_matlab(file.getvalue())
    assert read.keys() == CONTENT.keys()
    assert read["names"] == ["a", "longer name", "é", ""]
    assert [s["bbx"].tolist() for s in read["structures"]] == [
        [1.5, 2, 3, place] for place in range(3)
    ]
    assert [s["junk"].tolist() for s in read["structures"]] == [[]] * 3
    np.testing.assert_array_equal(read["matrix"], CONTENT["matrix"])
    assert read["integers"].dtype == "u1"
    assert read["integers"].tolist() == [1, 2]
    assert read["number"] == 2.5 and type(read["number"]) is float
    assert read["empty"].size == 0
    assert read["text"] == "text"
    assert read["rows"] == ["ab", "cd"]
    assert read["one cell"] == "a" and read["one structure"]["bbx"][3] == 0
    nested = read["nested"]
    assert nested[0] == "a" and nested[1][1] == "b"
    assert nested[1][0].tolist() == [0, 1, 2]


def test_texts_and_numbers_as_matlab_writes_them():
    """Texts are UTF-16, and doubles the smallest integers that hold them."""
    content = _file(
        _matrix(4, (1, 3), _element(4, "aé同".encode("utf-16-le")), b"t"),
        _matrix(6, (1, 3), struct.pack("<2I", 3 << 16 | 2, 0x030201), b"n"),
    )
    read = read_matlab(content)
    assert read["t"] == "aé同"
    assert read["n"].tolist() == [1, 2, 3]


def test_the_other_byte_order_is_read():
    body = struct.pack(">4I", 6, 8, 6, 0) + struct.pack(">2I2i", 5, 8, 1, 2)
    body += struct.pack(">2I8s", 1, 1, b"x") + struct.pack(">2I2d", 9, 16, 1, 2)
    variable = struct.pack(">2I", 14, len(body)) + body
    read = read_matlab(_file(variable, version=b"\x01\x00MI"))
    assert read["x"].tolist() == [1, 2]


def _element(kind, data):
    padding = bytes(-len(data) % 8)
    return struct.pack("<2I", kind, len(data)) + data + padding


def _matrix(kind, shape, content=b"", name=b"gnd"):
    body = _element(6, struct.pack("<2I", kind, 0))
    body += _element(5, struct.pack(f"<{len(shape)}i", *shape))
    body += _element(1, name) + content
    return struct.pack("<2I", 14, len(body)) + body


def _compressed(data):
    deflated = zlib.compress(data)
    return struct.pack("<2I", 15, len(deflated)) + deflated


def _file(*variables, version=b"\x00\x01IM"):
    return bytes(124) + version + b"".join(variables)


def _nested(depth):
    matrix = _matrix(6, (1, 1), _element(9, bytes(8)))
    for _ in range(depth):
        matrix = _matrix(1, (1, 1), matrix)
    return matrix


HOSTILE = {
    "a billion cells": _matrix(1, (1, 10**9)),
    "a billion structures": _matrix(
        2,
        (10**9, 1),
        _element(5, struct.pack("<i", 4)) + _element(1, b"abc\0"),
    ),
    "names of no length": _matrix(
        2, (1, 1), _element(5, struct.pack("<i", 0)) + _element(1, b"abc\0")
    ),
    "a billion rows without columns": _matrix(
        4, (2**31 - 1, 0), _element(16, b"ab")
    ),
    "rows of one letter": _compressed(
        _matrix(4, (10**6, 1), _element(16, b"a" * 10**6))
    ),
    "a million fields": _compressed(
        _matrix(
            2,
            (0, 1),
            _element(5, struct.pack("<i", 1)) + _element(1, b"a" * 10**6),
        )
    ),
    "a text without bytes": _matrix(4, (1, 2 * 10**9), _element(16, b"")),
    "numbers without bytes": _matrix(6, (2**31 - 1,) * 9, _element(9, b"")),
    "a negative dimension": _matrix(6, (-1, 1), _element(9, bytes(8))),
    "many dimensions": _matrix(6, (1,) * 40, _element(9, bytes(8))),
    "complex numbers": _matrix(6 + 0x0800, (1, 1), _element(9, bytes(8)) * 2),
    "a text of another type": _matrix(4, (1, 1), _element(9, bytes(8))),
    "a text that is not UTF-8": _matrix(4, (1, 1), _element(16, b"\xff")),
    "a sparse matrix": _matrix(5, (10**9, 10**9)),
    "an object": _matrix(3, (1, 1)),
    "a function": _matrix(16, (1, 1)),
    "deep cells": _nested(1000),
    "400 MB": _compressed(bytes(400 * 10**6)),
    "many variables": _compressed(
        _matrix(6, (1, 2**20), _element(9, bytes(2**23)))
    )
    * 9,
    "many empty cells": _compressed(
        _matrix(1, (1, 10**6), struct.pack("<2I", 14, 0) * 10**6)
    ),
    "a variable of another type": struct.pack("<2I", 9, 8) + bytes(8),
    "a size beyond the end": struct.pack("<2I", 14, 2**31) + bytes(8),
    "no zlib": struct.pack("<2I", 15, 8) + b"notazlib",
}


@pytest.mark.parametrize("variable", HOSTILE.values(), ids=HOSTILE)
def test_files_that_declare_too_much_are_refused(variable):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match=r"not a readable \.mat file"):
        read_matlab(_file(variable))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - before < 200_000


def test_the_file_that_the_hostile_ones_vary_is_read():
    content = _file(_nested(3), _compressed(_nested(2)))
    assert read_matlab(content)["gnd"] == 0


@pytest.mark.parametrize("content", [b"", bytes(200), b"MATLAB 7.3 MAT" * 20])
def test_other_versions_are_refused(content):
    with pytest.raises(UserError, match="not of version 5 to 7"):
        read_matlab(content)


@pytest.mark.parametrize("compressed", [False, True])
def test_any_damage_is_a_user_error(compressed):
    file = io.BytesIO()
    scipy.io.savemat(file, CONTENT, do_compression=compressed)
    whole = file.getvalue()
    rng = np.random.default_rng(0)
    for _ in range(500):
        damaged = bytearray(whole)
        for position in rng.integers(0, len(whole), rng.integers(1, 4)):
            damaged[position] = rng.integers(0, 256)
        try:
            read_matlab(bytes(damaged))
        except UserError as error:
            assert "not a readable" in str(error)

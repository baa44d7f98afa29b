"""Reader of untrusted MATLAB files (.mat, version 5 to 7).

SciPy's reader trusts a file: 184 bytes that declare a billion cells, or 389 kB
that inflate to 400 MB, exhaust the memory, and some flipped bits end the
process with a segmentation fault. This one reads cells, structures, texts and
real numbers, and allocates in proportion to the file.

Reference: MAT-File Format,
https://www.mathworks.com/help/pdf_doc/matlab/matfile_format.pdf
"""

import math
import struct
import zlib
from typing import Any

import numpy as np

from agem_tf.errors import UserError

_MAX_INFLATED = 32 * 2**20
# Matrices, rows of texts and names of fields.
_MAX_ITEMS = 300_000
_MAX_DEPTH = 8
_MAX_DIMENSIONS = 32
_HEADER_BYTES, _TAG_BYTES = 128, 8
# Types of elements, and classes of matrices.
_MATRIX, _COMPRESSED = 14, 15
_CELL, _STRUCTURE, _TEXT = 1, 2, 4
_NUMBERS = range(6, 16)
_COMPLEX = 0x0800
# Types of elements: numbers by NumPy's names, texts by Python's encodings.
_ITEM_TYPES = {
    1: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    5: "i4",
    6: "u4",
    7: "f4",
    9: "f8",
    12: "i8",
    13: "u8",
}
_ENCODINGS = {1: "ascii", 2: "ascii", 4: "utf-16", 16: "utf-8", 17: "utf-16"}


def read_matlab(content: bytes) -> dict[str, Any]:
    """Reads the variables of a .mat file.

    Args:
        content: The bytes of a file whose size the caller has limited.

    Returns:
        The value of each variable by name. A matrix of numbers is an array of
        the type in which they are stored, without axes of length 1; one number
        is a number of Python. A text is a str, several rows of text are a list.
        A cell array is a list of its values, column after column, and a
        structure array one of dictionaries; a single one is the value itself.

    Raises:
        UserError: the file is damaged, of another version, holds other
            classes, or declares more than it holds.
    """
    try:
        order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
        if order is None:
            raise ValueError("it is not of version 5 to 7")
        return _Reader(order).variables(content)
    except (ValueError, OverflowError, struct.error, zlib.error) as error:
        raise UserError(f"not a readable .mat file: {error}.") from error


class _Reader:
    """Reads one file; what all its variables add up to is bounded.

    Args:
        order: "<" or ">", the byte order.
    """

    def __init__(self, order: str) -> None:
        self._order = order
        self._bytes, self._items = _MAX_INFLATED, _MAX_ITEMS

    def variables(self, content: bytes) -> dict[str, Any]:
        variables, place = {}, _HEADER_BYTES
        while place < len(content):
            kind, size = self._unpack("2I", content, place)
            end = place + _TAG_BYTES + size
            if end > len(content):
                raise ValueError("it is cut short")
            data = content[place:end]
            if kind == _COMPRESSED:
                data = zlib.decompressobj().decompress(
                    data[_TAG_BYTES:], self._bytes + 1
                )
                self._bytes -= len(data)
                if self._bytes < 0:
                    raise ValueError(
                        f"it inflates to more than {_MAX_INFLATED} bytes"
                    )
            name, value, _ = self._matrix(data, 0, 0)
            variables[name] = value
            place = end
        return variables

    def _count(self, number: int) -> None:
        """Refuses a file of too many items."""
        self._items -= number
        if self._items < 0:
            raise ValueError(f"it has more than {_MAX_ITEMS} items")

    def _unpack(self, form: str, data: bytes, place: int) -> tuple[int, ...]:
        return struct.unpack_from(self._order + form, data, place)

    def _element(self, data: bytes, place: int) -> tuple[int, bytes, int]:
        """Returns type and bytes of an element, and the place after it."""
        (kind,) = self._unpack("I", data, place)
        if kind >> 16:  # Up to four bytes lie in the tag itself.
            kind, size = kind & 0xFFFF, kind >> 16
            start, end = place + 4, place + _TAG_BYTES
            if size > 4:
                raise ValueError("an element is damaged")
        else:
            (size,) = self._unpack("I", data, place + 4)
            start = place + _TAG_BYTES
            end = start + size + -size % 8
        if start + size > len(data):
            raise ValueError("it is cut short")
        return kind, data[start : start + size], end

    def _matrix(
        self, data: bytes, place: int, depth: int
    ) -> tuple[str, Any, int]:
        """Returns name and value of a matrix, and the place after it."""
        self._count(1)
        if depth > _MAX_DEPTH:
            raise ValueError("its matrices are nested too deep")
        kind, size = self._unpack("2I", data, place)
        place += _TAG_BYTES
        if kind != _MATRIX:
            raise ValueError(
                f"it has an element of type {kind} where a matrix should be"
            )
        if not size:
            return "", np.empty(0), place
        (flags,) = self._unpack("I", data, place + _TAG_BYTES)
        _, dimensions, place = self._element(data, place + 2 * _TAG_BYTES)
        if len(dimensions) > 4 * _MAX_DIMENSIONS:
            raise ValueError("a matrix has too many dimensions")
        shape = self._unpack(f"{len(dimensions) // 4}i", dimensions, 0)
        if any(length < 0 for length in shape):
            raise ValueError("a matrix has a negative dimension")
        _, name, place = self._element(data, place)
        kind = flags & 0xFF
        if kind in (_CELL, _STRUCTURE):
            read = self._cells if kind == _CELL else self._structures
            value, place = read(data, place, math.prod(shape), depth + 1)
            value = value[0] if len(value) == 1 else value
        elif kind == _TEXT or (kind in _NUMBERS and not flags & _COMPLEX):
            read = self._text if kind == _TEXT else self._numbers
            item_type, items, place = self._element(data, place)
            value = read(item_type, items, shape)
        else:
            raise ValueError(f"it has a matrix of class {kind}, or complex")
        return name.decode("latin-1"), value, place

    def _cells(
        self, data: bytes, place: int, number: int, depth: int
    ) -> tuple[list[Any], int]:
        if number * _TAG_BYTES > len(data) - place:
            raise ValueError(f"a matrix declares {number} cells")
        values = []
        for _ in range(number):
            _, value, place = self._matrix(data, place, depth)
            values.append(value)
        return values, place

    def _structures(
        self, data: bytes, place: int, number: int, depth: int
    ) -> tuple[list[dict[str, Any]], int]:
        _, size, place = self._element(data, place)
        (size,) = self._unpack("i", size, 0)
        _, text, place = self._element(data, place)
        if size < 1 or not text:
            raise ValueError("a structure has no fields")
        self._count(len(text) // size)
        fields = [
            text[start : start + size].partition(b"\0")[0].decode("latin-1")
            for start in range(0, len(text), size)
        ]
        total = number * len(fields)
        values, place = self._cells(data, place, total, depth)
        rows = (
            values[start : start + len(fields)]
            for start in range(0, total, len(fields))
        )
        return [dict(zip(fields, row, strict=True)) for row in rows], place

    def _numbers(self, kind: int, data: bytes, shape: tuple[int, ...]) -> Any:
        if kind not in _ITEM_TYPES:
            raise ValueError(f"it has numbers of type {kind}")
        items = np.frombuffer(data, self._order + _ITEM_TYPES[kind])
        if items.size != math.prod(shape):
            raise ValueError("a matrix does not have the size that it declares")
        if items.size == 1:
            return items.item()
        return (
            items.reshape(shape, order="F").squeeze() if items.size else items
        )

    def _text(
        self, kind: int, data: bytes, shape: tuple[int, ...]
    ) -> str | list[str]:
        if kind not in _ENCODINGS:
            raise ValueError(f"it has a text of type {kind}")
        encoding = _ENCODINGS[kind]
        if encoding == "utf-16":
            encoding += "-le" if self._order == "<" else "-be"
        text = data.decode(encoding)
        if math.prod(shape) > len(data) or len(shape) != 2:
            raise ValueError("a text does not have the size that it declares")
        rows = shape[0]
        self._count(max(rows - 1, 0))
        return text if rows <= 1 else [text[row::rows] for row in range(rows)]

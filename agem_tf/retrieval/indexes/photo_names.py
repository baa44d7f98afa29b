"""Names of indexed photos, read one by one from a mapped file.

Beside the lines of names lies an array of places: where each line ends, and the
CRC-32 of each name with its row, in order. So a name is found by bisection, and
opening an index of ten million photos reads none of them.
"""

import contextlib
import functools
import pathlib
import zlib
from collections.abc import Collection, Mapping, Sequence
from typing import Self

import numpy as np

from agem_tf.errors import UserError
from agem_tf.files import arrays

# With more, reading all names takes less time than looking each of them up.
_MOST_LOOKUPS = 10_000
_ROW_BITS = np.uint64(32)
_LAST_ROW = np.uint64(2**32 - 1)


class PhotoNames:
    """Unique names of photos in rows.

    Args:
        names: names in the order of the rows.
    """

    _path: pathlib.Path | None = None

    def __init__(self, names: Sequence[str]):
        lines = [_encoded(name) for name in names]
        self._text: np.ndarray | bytes = b"".join(
            line + b"\n" for line in lines
        )
        self._ends = np.cumsum([len(line) + 1 for line in lines], dtype="u8")
        self._lines = lines

    @classmethod
    def open(cls, directory: pathlib.Path, files: Mapping[str, str]) -> Self:
        """Opens what `save` wrote, or a list of names without places.

        Args:
            directory: directory of the index.
            files: "names" and, except in older indexes, "places": paths
                relative to it.

        Raises:
            UserError: a file is missing or damaged.
        """
        path = directory / files["names"]
        if "places" not in files:
            return cls(arrays.read_names(path))
        places = arrays.load_array(directory / files["places"], mmap=True)
        size = path.stat().st_size
        is_fit = places.dtype == np.uint64 and places.ndim == 2
        if not is_fit or len(places) != 2 or places[0, -1:].tolist() != [size]:
            raise UserError(
                f"{directory / files['places']} does not fit {path}; index the "
                "photos again."
            )
        opened = cls.__new__(cls)
        opened._path = path
        opened._text = np.memmap(path, np.uint8, "r")
        opened._ends, opened._sorted = np.asarray(places)
        return opened

    def save(self, directory: pathlib.Path, files: Mapping[str, str]) -> None:
        """Writes the files "names" and "places" of the directory."""
        with (directory / files["names"]).open("wb") as file:
            file.write(self._text)
        places = np.stack([self._ends, self._sorted])
        arrays.write_array(directory / files["places"], places)

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, row: int) -> str:
        return _decoded(self._line(row))

    def all(self) -> list[str]:
        """Returns the names of all rows.

        Raises:
            UserError: the file holds another number of names.
        """
        names = arrays.split_names(bytes(self._text))
        if len(names) != len(self):
            raise UserError(
                f"{self._path} holds {len(names)} names for {len(self)} photos;"
                " index the photos again."
            )
        return names

    def rows_of(self, names: Collection[str]) -> dict[str, int]:
        """Returns the rows of those of some names that are here, by name."""
        if len(names) > _MOST_LOOKUPS:
            wanted = set(names)
            rows = enumerate(self.all())
            return {name: row for row, name in rows if name in wanted}
        lines = {}
        for name in names:
            # Half a surrogate pair, which a request may have, is no name.
            with contextlib.suppress(UnicodeEncodeError):
                lines[_encoded(name)] = name
        sums = np.fromiter(map(zlib.crc32, lines), np.uint64, len(lines))
        least = sums << _ROW_BITS
        starts = np.searchsorted(self._sorted, least)
        ends = np.searchsorted(self._sorted, least | _LAST_ROW, side="right")
        found = {}
        for line, start, end in zip(lines, starts, ends, strict=True):
            for row in self._sorted[start:end] & _LAST_ROW:
                if row < len(self) and self._line(int(row)) == line:
                    found[lines[line]] = int(row)
        return found

    @functools.cached_property
    def _sorted(self) -> np.ndarray:
        """(photos,) uint64, CRC-32 of each name and its row, in order."""
        sums = np.fromiter(map(zlib.crc32, self._lines), np.uint64, len(self))
        rows = np.arange(len(self), dtype=np.uint64)
        return np.sort(sums << _ROW_BITS | rows)

    def _line(self, row: int) -> bytes:
        start = int(self._ends[row - 1]) if row else 0
        return bytes(self._text[start : int(self._ends[row]) - 1])


def _encoded(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _decoded(line: bytes) -> str:
    return line.decode("utf-8", "surrogateescape")

"""An .npy file that gets its rows one batch after another.

Appended to instead of mapped: on a full disk a write raises an error, while a
store into a map kills the process (SIGBUS).

Descriptors in another order or one behind the other, without a copy.

A million distractors fill the memory of a small machine once; they are not to
fill it twice. Both views answer what is asked of a two-dimensional array that
is read by rows: its shape, slices of it, and rows by index.

Rows too many for memory, in a file that nobody sees.

A million whitened descriptors make 8 GB; as a file they may leave memory again.
"""

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Self

import numpy as np

from agem_tf.errors import UserError


class GrowingArray:
    """Writes (rows, dimension) numbers; a context manager.

    Args:
        path: of the file.
        shape: rows and dimension in the end.
        dtype: of the numbers.
        rows: how many of an older file at `path` are kept.
    """

    def __init__(
        self,
        path: Path,
        shape: tuple[int, int],
        dtype: np.dtype,
        rows: int = 0,
    ) -> None:
        self.rows = rows
        self._file = path.open("r+b" if rows else "wb")
        np.lib.format.write_array_header_1_0(
            self._file,
            {
                "descr": np.lib.format.dtype_to_descr(dtype),
                "fortran_order": False,
                "shape": shape,
            },
        )
        # The file may be longer: rows of which nobody knew that they are whole.
        self._file.seek(rows * shape[1] * dtype.itemsize, os.SEEK_CUR)
        self._file.truncate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Writes what is buffered; appending afterwards is an error."""
        self._file.close()

    def append(self, batch: np.ndarray) -> None:
        """Adds rows of the array's own type, which lie behind each other."""
        self._file.write(batch.data)
        self.rows += len(batch)

    def flush(self) -> None:
        """Forces all rows onto the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())


class _Rows:
    """An array of which only rows can be asked for."""

    ndim = 2

    def __init__(self, photos: int, dimension: int) -> None:
        self.shape = photos, dimension

    def __len__(self) -> int:
        return self.shape[0]


class SelectedRows(_Rows):
    """Rows of an array, gathered when asked for.

    Args:
        descriptors: (photos, dimension), possibly a memory map.
        rows: (selected,) integers.
    """

    def __init__(self, descriptors: np.ndarray, rows: np.ndarray) -> None:
        super().__init__(len(rows), descriptors.shape[1])
        self._descriptors, self._rows = descriptors, rows

    def __getitem__(self, key: int | slice | np.ndarray) -> np.ndarray:
        return self._descriptors[self._rows[key]]


class StackedRows(_Rows):
    """Arrays one behind the other.

    Args:
        parts: (photos, dimension) each, possibly memory maps.

    Raises:
        UserError: the dimensions differ.
    """

    def __init__(self, parts: Sequence[np.ndarray]) -> None:
        dimensions = [part.shape[1] for part in parts]
        if len(set(dimensions)) > 1:
            raise UserError(
                "Descriptors that are searched together must have one "
                f"dimension, not {' and '.join(map(str, dimensions))}; extract "
                "them with the same model."
            )
        self._parts = list(parts)
        self._ends = np.cumsum([len(part) for part in parts])
        super().__init__(int(self._ends[-1]), dimensions[0])

    def __getitem__(self, key: int | slice | np.ndarray) -> np.ndarray:
        """As of an array; a slice within one part is not copied."""
        if isinstance(key, slice):
            return self._slice(*key.indices(len(self))[:2])
        rows = np.asarray(key)
        sources = np.searchsorted(self._ends, rows, side="right")
        found = np.empty((*rows.shape, self.shape[1]), np.float32)
        for source, (first, part) in enumerate(self._placed()):
            chosen = sources == source
            found[chosen] = part[rows[chosen] - first]
        return found

    def _slice(self, start: int, stop: int) -> np.ndarray:
        pieces = [
            part[max(start - first, 0) : max(stop - first, 0)]
            for first, part in self._placed()
        ]
        filled = [piece for piece in pieces if len(piece)] or pieces[:1]
        return filled[0] if len(filled) == 1 else np.concatenate(filled)

    def _placed(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yields the first row of each part, and the part."""
        for end, part in zip(self._ends, self._parts, strict=True):
            yield int(end) - len(part), part


def write_temporary(
    blocks: Iterable[np.ndarray], shape: tuple[int, int]
) -> np.ndarray:
    """Writes rows to an unnamed temporary file, which ends with its array.

    Args:
        blocks: (rows, dimension) each.
        shape: of all blocks together, at least one row.

    Returns:
        `shape` float32, a memory map that can only be read.

    Raises:
        UserError: there is no room for the file.
    """
    # Written instead of stored into a map: on a full disk a write raises an
    # error, while a store kills the process (SIGBUS).
    with tempfile.TemporaryFile() as file:
        try:
            for block in blocks:
                file.write(np.ascontiguousarray(block, np.float32).data)
            file.flush()
        except OSError as error:
            raise UserError(
                f"{tempfile.gettempdir()} can't take {shape[0]} temporary "
                f"descriptors ({error.strerror}); name another directory by "
                "the environment variable TMPDIR."
            ) from error
        return np.memmap(file, np.float32, "r", shape=shape)

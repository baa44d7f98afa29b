"""Descriptors by rows: written to files batch by batch, and read as views.

Files are appended to instead of mapped: on a full disk a write raises an
error, while a store into a memory map kills the process (SIGBUS). Views avoid
copies of a million descriptors that would fill the memory twice. They support
what is asked of a two-dimensional array that is read by rows: its shape,
slices, and rows by index.
"""

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Self

import numpy as np

from agem_tf.errors import UserError
from agem_tf.files.locations import large_temporary_directory

# Bytes of rows that are kept in memory.
_MEMORY = 2**28


class GrowingArray:
    """Context manager that appends rows to an .npy file.

    Args:
        path: path of the file.
        shape: final number of rows, or None if it is not known yet, and
            dimension.
        dtype: type of the numbers in the file.
        rows: number of rows to keep of an existing file at `path`.

    Attributes:
        rows: number of rows in the file.
    """

    def __init__(
        self,
        path: Path,
        shape: tuple[int | None, int],
        dtype: np.dtype,
        rows: int = 0,
    ) -> None:
        self.rows = rows
        self._count, self._dimension = shape
        self._dtype = np.dtype(dtype)
        self._file = path.open("r+b" if rows else "wb")
        self._write_header()
        # Later rows of an existing file may be incomplete.
        kept = rows * self._dimension * self._dtype.itemsize
        self._file.seek(kept, os.SEEK_CUR)
        self._file.truncate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Completes the file; appending afterwards is an error."""
        if self._count is None and not self._file.closed:
            self._file.seek(0)
            self._write_header()
        self._file.close()

    def append(self, batch: np.ndarray) -> None:
        """Adds rows (batch, dimension), converted to the type of the file."""
        self._file.write(np.ascontiguousarray(batch, self._dtype).data)
        self.rows += len(batch)

    def flush(self) -> None:
        """Forces all rows onto the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def _write_header(self) -> None:
        # NumPy pads the header, so that it has the same size for any count.
        count = self.rows if self._count is None else self._count
        header = {
            "descr": np.lib.format.dtype_to_descr(self._dtype),
            "fortran_order": False,
            "shape": (count, self._dimension),
        }
        np.lib.format.write_array_header_1_0(self._file, header)


def write_rows(
    path: str | os.PathLike,
    blocks: Iterable[np.ndarray],
    dimension: int,
    dtype: np.dtype | type = np.float32,
) -> np.ndarray:
    """Writes blocks of rows, whose number is not known, as one .npy file.

    Args:
        path: path of the file.
        blocks: arrays (rows, dimension).
        dimension: length of a row.
        dtype: type of the numbers in the file.

    Returns:
        (all rows, dimension), a memory map of the file.
    """
    dtype = np.dtype(dtype).newbyteorder("<")
    with GrowingArray(Path(path), (None, dimension), dtype) as array:
        for block in blocks:
            array.append(block)
    return np.load(path, mmap_mode="r" if array.rows else None)


def joined_rows(
    blocks: Iterable[np.ndarray], shape: tuple[int, int]
) -> np.ndarray:
    """Returns blocks of rows as one array of bounded memory.

    Args:
        blocks: arrays (rows, dimension).
        shape: shape of all blocks together.

    Returns:
        `shape` float32; above 256 MiB a read-only memory map of an unnamed
        temporary file, which exists as long as the array.

    Raises:
        UserError: the directory for temporary files is full.
    """
    if 4 * shape[0] * shape[1] <= _MEMORY:
        rows = np.empty(shape, np.float32)
        first = 0
        for block in blocks:
            rows[first : first + len(block)] = block
            first += len(block)
        return rows
    directory = large_temporary_directory()
    with tempfile.TemporaryFile(dir=directory) as file:
        try:
            for block in blocks:
                file.write(np.ascontiguousarray(block, np.float32).data)
            file.flush()
        except OSError as error:
            raise UserError(
                f"{directory} can't hold {shape[0]} temporary "
                f"descriptors ({error.strerror}); set the environment variable "
                "TMPDIR to another directory."
            ) from error
        return np.memmap(file, np.float32, "r", shape=shape)


class RowsView:
    """Base view, of which only rows can be read.

    Attributes:
        shape: number of rows and dimension.
        dtype: type of the numbers.
    """

    ndim = 2

    def __init__(self, photos: int, dimension: int, dtype: np.dtype) -> None:
        self.shape, self.dtype = (photos, dimension), dtype

    def __len__(self) -> int:
        return self.shape[0]


class SelectedRows(RowsView):
    """View of some rows of an array, gathered when they are read.

    Args:
        descriptors: (photos, dimension), possibly a memory map.
        rows: (selected,) integer indices.
    """

    def __init__(self, descriptors: np.ndarray, rows: np.ndarray) -> None:
        super().__init__(len(rows), descriptors.shape[1], descriptors.dtype)
        self._descriptors, self._rows = descriptors, rows

    def __getitem__(self, key: int | slice | np.ndarray) -> np.ndarray:
        return self._descriptors[self._rows[key]]


class StackedRows(RowsView):
    """View of several arrays as their concatenation.

    Args:
        parts: arrays (photos, dimension), possibly memory maps.

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
        types = [part.dtype for part in parts]
        super().__init__(
            int(self._ends[-1]), dimensions[0], np.result_type(*types)
        )

    def __getitem__(self, key: int | slice | np.ndarray) -> np.ndarray:
        """Reads rows as of an array; a slice of one part is not copied."""
        if isinstance(key, slice):
            rows = range(*key.indices(len(self)))
            if not rows:
                return self._slice(0, 0)
            first, last = sorted((rows[0], rows[-1]))
            return self._slice(first, last + 1)[:: rows.step]
        rows = np.asarray(key)
        rows = np.where(rows < 0, rows + len(self), rows)
        if ((rows < 0) | (rows >= len(self))).any():
            # It also ends an iteration.
            raise IndexError(f"There are {len(self)} rows. Received: {key}")
        sources = np.searchsorted(self._ends, rows, side="right")
        found = np.empty((*rows.shape, self.shape[1]), self.dtype)
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

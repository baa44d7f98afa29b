"""An .npy file that gets its rows one batch after another.

Appended to instead of mapped: on a full disk a write raises an error, while a
store into a map kills the process (SIGBUS).
"""

import os
from pathlib import Path
from typing import Self

import numpy as np


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

"""Descriptors written to disk before anybody knows how many there will be.

Photos that can't be read drop out while a folder is described, and a million
descriptors do not fit in memory: rows are appended, and counted at the end.
"""

import os
import pathlib
from collections.abc import Iterable
from typing import BinaryIO

import numpy as np


def write_rows(
    path: str | os.PathLike,
    blocks: Iterable[np.ndarray],
    dimension: int,
    dtype: np.dtype | type = np.float32,
) -> np.ndarray:
    """Writes blocks of rows as one .npy file.

    Args:
        path: of the file.
        blocks: (rows, dimension) each.
        dimension: of a row.
        dtype: of the values on disk.

    Returns:
        (all rows, dimension), a memory map of the file.
    """
    dtype = np.dtype(dtype).newbyteorder("<")
    rows = 0
    # Appended to instead of mapped: on a full disk a write raises an error,
    # while a store into a map kills the process (SIGBUS).
    with pathlib.Path(path).open("wb") as file:
        _write_header(file, (rows, dimension), dtype)
        for block in blocks:
            file.write(np.ascontiguousarray(block, dtype).data)
            rows += len(block)
        # NumPy pads the header so that a longer first axis still fits.
        file.seek(0)
        _write_header(file, (rows, dimension), dtype)
    return np.load(path, mmap_mode="r" if rows else None)


def _write_header(
    file: BinaryIO, shape: tuple[int, int], dtype: np.dtype
) -> None:
    descr = np.lib.format.dtype_to_descr(dtype)
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)

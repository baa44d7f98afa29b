"""Exact index: every query is compared with every descriptor.

It is the default and needs no tuning for up to a million photos: rows are read
from a memory map at the speed of the disk or of the memory.
"""

import pathlib
from collections.abc import Collection
from typing import Self

import numpy as np

from agem_tf.errors import UserError
from agem_tf.files import arrays
from agem_tf.files.rows import SelectedRows, StackedRows, write_rows
from agem_tf.retrieval import nearest
from agem_tf.retrieval.indexes.descriptor_index import DescriptorIndex, Match

FACTORY = "exact"
_NAMES = "names.txt"
_ROWS = "descriptors.npy"


class ExactIndex(DescriptorIndex):
    """Index of a matrix; photos of equal similarity keep their order."""

    def __init__(self, dimension: int):
        super().__init__(FACTORY, dimension)
        self._names: list[str] = []
        self._rows = np.empty((0, dimension), np.float16)
        # Type in the file: half precision if all descriptors were.
        self._dtype: type = np.float16

    def __len__(self) -> int:
        return len(self._names)

    def known(self, names: Collection[str]) -> set[str]:
        return set(names).intersection(self._names)

    def save(self, directory: pathlib.Path) -> None:
        """Writes descriptors.npy and names.txt into an existing directory."""
        blocks = (block for _, block in nearest.row_blocks(self._rows))
        write_rows(directory / _ROWS, blocks, self.dimension, self._dtype)
        arrays.write_names(directory / _NAMES, self._names)

    @classmethod
    def load(cls, directory: pathlib.Path, dimension: int) -> Self:
        """Opens an index written by `save`.

        Raises:
            UserError: a file is missing or damaged.
        """
        index = cls(dimension)
        rows = arrays.load_array(directory / _ROWS, mmap=True)
        names = arrays.read_names(directory / _NAMES)
        if rows.shape != (len(names), dimension):
            raise UserError(
                f"{directory / _ROWS} has shape {rows.shape} for {len(names)} "
                f"photos and {dimension} dimensions; index the photos again."
            )
        index._add(names, rows)
        return index

    def _add(self, names: list[str], descriptors: np.ndarray) -> None:
        if getattr(descriptors, "dtype", None) != np.float16:
            self._dtype = np.float32
        self._rows = (
            StackedRows([self._rows, descriptors])
            if self._names
            else descriptors
        )
        self._names = self._names + names

    def _remove(self, names: set[str]) -> None:
        kept = [i for i, name in enumerate(self._names) if name not in names]
        self._rows = SelectedRows(self._rows, np.array(kept))
        self._names = [self._names[i] for i in kept]

    def _search(self, queries: np.ndarray, top: int) -> list[list[Match]]:
        indices, similarities = nearest.nearest(queries, self._rows, top)
        return [
            [
                Match(self._names[index], float(value))
                for index, value in zip(found, values, strict=True)
            ]
            for found, values in zip(indices, similarities, strict=True)
        ]

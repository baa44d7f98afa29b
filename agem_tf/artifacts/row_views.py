"""Descriptors in another order or one behind the other, without a copy.

A million distractors fill the memory of a small machine once; they are not to
fill it twice. Both views answer what is asked of a two-dimensional array that
is read by rows: its shape, slices of it, and rows by index.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from agem_tf.errors import UserError


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

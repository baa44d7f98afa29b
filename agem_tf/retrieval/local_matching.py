"""Matches of the local features of two photos, by their descriptors."""

import numpy as np

from agem_tf.descriptors.local_features import LocalFeatures
from agem_tf.errors import UserError


def match_features(
    first: LocalFeatures,
    second: LocalFeatures,
    ratio: float = 1.0,
    mutual: bool = True,
) -> np.ndarray:
    """Matches each feature of a photo with the nearest one of another.

    Args:
        first: features of one photo.
        second: features of the other.
        ratio: a match is kept if its distance is below this share of the
            distance to the second nearest, in (0, 1]; 1 keeps all.
        mutual: whether each of a match must be the nearest of the other.

    Returns:
        (matches, 2) int64 indices into `first` and `second`; empty if either
        photo has no features.

    Raises:
        UserError: the dimensions differ, as those of two kinds of features.
    """
    if first.dimension != second.dimension:
        raise UserError(
            f"Local features of dimension {first.dimension} and "
            f"{second.dimension} cannot be matched; extract both photos with "
            "the same features."
        )
    if not len(first) or not len(second):
        return np.empty((0, 2), np.int64)
    squares = _squared_distances(first.descriptors, second.descriptors)
    rows = np.arange(len(first))
    nearest = squares.argmin(axis=1)
    if ratio < 1 and len(second) > 1:
        # Rounding leaves squares of equal descriptors slightly off zero.
        best = np.maximum(squares[rows, nearest], 0)
        squares[rows, nearest] = np.inf
        kept = best < ratio**2 * squares.min(axis=1)
        squares[rows, nearest] = best
        rows, nearest = rows[kept], nearest[kept]
    if mutual:
        # After the ratio test few columns are left, whose minima are cheap.
        kept = squares[:, nearest].argmin(axis=0) == rows
        rows, nearest = rows[kept], nearest[kept]
    return np.column_stack([rows, nearest])


def _squared_distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Returns |a|^2 + |b|^2 - 2 a b as one product of extended rows."""
    first = np.asarray(first, np.float32)
    second = np.asarray(second, np.float32)
    ones = np.ones((len(first), 1), np.float32)
    left = np.hstack([first, ones, _squares(first)])
    ones = np.ones((len(second), 1), np.float32)
    right = np.hstack([-2 * second, _squares(second), ones])
    return left @ right.T


def _squares(rows: np.ndarray) -> np.ndarray:
    return np.sum(np.square(rows), axis=1, keepdims=True)

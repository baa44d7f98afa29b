"""PCA whitening, and whitening learned from pairs of photos.

PCA needs only descriptors; learned whitening also needs pairs of photos of the
same landmark, and raises scores more. Everything is computed in float64,
because whitening inverts small eigenvalues that float32 can't represent.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.descriptors.linear_whitening import LinearWhitening
from agem_tf.errors import UserError

_BLOCK = 4096
_FIRST_JITTER = 1e-10
# Directions with a smaller share of the largest variance hold rounding errors
# of the float32 descriptors, which whitening would amplify.
_SMALLEST_VARIANCE = 1e-12


def learn_by_method(
    method: str,
    descriptors: DescriptorSet,
    labels: Sequence[object] | None = None,
    shrinkage: float = 0.0,
    pairs: np.ndarray | None = None,
    power: float = 0.5,
) -> LinearWhitening:
    """Learns a whitening by the name of its method.

    Args:
        method: "learned", from pairs of photos, or "pca".
        descriptors: Descriptors to learn from.
        labels: (photos,) landmark of each photo; "pca" needs none.
        shrinkage: See `learn_whitening`; 0 for "pca".
        pairs: (pairs, 2) rows of `descriptors`, where a data set lists them:
            retrieval-SfM lists photos that see the same side of a landmark.
            None for all pairs of equal labels.
        power: See `learn_pca`; not for "learned".

    Raises:
        UserError: as the method's own function.
    """
    provenance = descriptors.provenance
    if method == "pca":
        if shrinkage:
            raise UserError("Only learned whitening has a shrinkage.")
        return learn_pca(descriptors.descriptors, power, provenance)
    rows = positive_pairs(labels) if pairs is None else pairs.T
    return learn_whitening(
        descriptors.descriptors, *rows, shrinkage, provenance
    )


def learn_pca(
    descriptors: np.ndarray,
    power: float = 0.5,
    provenance: Mapping[str, Any] | None = None,
) -> LinearWhitening:
    """Learns P = diag(lambda^-power) U^T by PCA.

    U and lambda are the eigenvectors and eigenvalues of the covariance.
    Directions without variance are dropped: N photos give at most N - 1
    dimensions.

    Args:
        descriptors: (photos, dimension), L2-normalized.
        power: Exponent of the eigenvalues; 0.5 whitens fully, 0 only rotates.
            Gordo et al. (https://arxiv.org/abs/1610.07940) use 0.25.
        provenance: Provenance of the descriptors, kept by the whitening.

    Returns:
        A whitening of kind "pca", directions of most variance first.

    Raises:
        UserError: fewer than two photos, all photos equal, or a NaN.
    """
    _check_descriptors(descriptors)
    if len(descriptors) < 2:
        raise UserError("PCA needs the descriptors of at least two photos.")
    mean = np.mean(descriptors, axis=0, dtype=np.float64)
    scatter = _scatter(_centred(descriptors, mean))
    variances, axes = _eigenvectors(scatter / len(descriptors))
    kept = variances > _SMALLEST_VARIANCE * max(variances[0], 1e-30)
    if not kept.any():
        raise UserError("PCA needs different photos; all descriptors agree.")
    scales = variances[kept] ** -power
    return LinearWhitening(
        mean, scales[:, np.newaxis] * axes[kept], "pca", provenance or {}
    )


def learn_whitening(
    descriptors: np.ndarray,
    query_indices: np.ndarray,
    positive_indices: np.ndarray,
    shrinkage: float = 0.0,
    provenance: Mapping[str, Any] | None = None,
) -> LinearWhitening:
    """Learns a whitening from pairs of photos of the same landmark.

    With S the mean of (x_q - x_p)(x_q - x_p)^T over pairs and m the mean of the
    x_q: P0 = inverse of the Cholesky factor of S, U = eigenvectors of the
    scatter of P0 (x - m), P = U^T P0, so that P S P^T = I. After Radenovic,
    Tolias and Chum (https://arxiv.org/abs/1711.02512), section 3.3.

    S is singular if there are fewer independent pairs than dimensions. By
    default it is then regularized only as far as the factorization needs, as
    published. A shrinkage c takes (1 - c) S + c trace(S) / dimension I instead,
    after Ledoit and Wolf (https://doi.org/10.1016/S0047-259X(03)00096-4), which
    gives better scores for few photos.

    Args:
        descriptors: (photos, dimension), L2-normalized.
        query_indices: (pairs,) row of one photo of each pair.
        positive_indices: (pairs,) row of the other photo of each pair.
        shrinkage: c in [0, 1].
        provenance: Provenance of the descriptors, kept by the whitening.

    Returns:
        A whitening of kind "learned", directions of most scatter first.

    Raises:
        UserError: no pairs, pairs outside the descriptors, a NaN, or a
            shrinkage out of range.
    """
    _check_descriptors(descriptors)
    if not 0 <= shrinkage <= 1:
        raise UserError(
            f"The shrinkage must lie in [0, 1]. Received: {shrinkage}"
        )
    pairs = np.stack(
        _check_pairs(query_indices, positive_indices, len(descriptors))
    )
    mean = _mean_of_rows(descriptors, pairs[0])
    within = _scatter(_pair_differences(descriptors, pairs)) / pairs.shape[1]
    inverse = np.linalg.inv(_cholesky(_shrink(within, shrinkage)))
    spread = inverse @ _scatter(_centred(descriptors, mean)) @ inverse.T
    _, axes = _eigenvectors(spread)
    return LinearWhitening(mean, axes @ inverse, "learned", provenance or {})


def positive_pairs(
    labels: Sequence[object], max_pairs: int = 200_000, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Lists the ordered pairs of different photos of the same landmark.

    Args:
        labels: (photos,) landmark of each photo, integers or strings.
        max_pairs: Largest number of pairs; if there are more, they are
            drawn without replacement.
        seed: Seed of that draw.

    Returns:
        Two (pairs,) int64 arrays of photo indices: queries and positives.

    Raises:
        UserError: no landmark has two photos.
    """
    _, landmarks, counts = np.unique(
        np.asarray(labels), return_inverse=True, return_counts=True
    )
    counts = counts.astype(np.int64)
    pair_ends = np.cumsum(counts * (counts - 1))
    if not pair_ends.size or not pair_ends[-1]:
        raise UserError(
            "No landmark has two photos, so there are no pairs; check the "
            "labels or learn PCA."
        )
    if pair_ends[-1] <= max_pairs:
        pairs = np.arange(pair_ends[-1])
    else:
        generator = np.random.default_rng(seed)
        drawn = generator.choice(pair_ends[-1], max_pairs, replace=False)
        pairs = np.sort(drawn)
    landmark = np.searchsorted(pair_ends, pairs, side="right")
    others = counts[landmark] - 1
    number = pairs - (pair_ends - counts * (counts - 1))[landmark]
    query, positive = np.divmod(number, others)
    positive += positive >= query
    photos = np.argsort(landmarks, kind="stable")
    first_photo = (np.cumsum(counts) - counts)[landmark]
    return photos[first_photo + query], photos[first_photo + positive]


def _eigenvectors(symmetric: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns eigenvalues in descending order, and eigenvectors as rows."""
    values, vectors = np.linalg.eigh(symmetric)
    return values[::-1], vectors.T[::-1]


def _shrink(matrix: np.ndarray, shrinkage: float) -> np.ndarray:
    mean_variance = np.trace(matrix) / len(matrix)
    target = mean_variance * np.eye(len(matrix))
    return (1 - shrinkage) * matrix + shrinkage * target


def _cholesky(matrix: np.ndarray) -> np.ndarray:
    """Returns the lower factor, with the least jitter that makes it exist."""
    jitter = 0.0
    while True:
        try:
            return np.linalg.cholesky(matrix + jitter * np.eye(len(matrix)))
        except np.linalg.LinAlgError:
            jitter = 10 * jitter or _FIRST_JITTER


def _scatter(blocks: Iterator[np.ndarray]) -> np.ndarray:
    """Returns the sum of x x^T over all rows x of the blocks."""
    total = 0.0
    for block in blocks:
        total = total + block.T @ block
    return total


def _centred(descriptors: np.ndarray, mean: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(descriptors), _BLOCK):
        block = descriptors[start : start + _BLOCK]
        yield np.asarray(block, np.float64) - mean


def _pair_differences(
    descriptors: np.ndarray, pairs: np.ndarray
) -> Iterator[np.ndarray]:
    for start in range(0, pairs.shape[1], _BLOCK):
        queries, positives = pairs[:, start : start + _BLOCK]
        difference = descriptors[queries].astype(np.float64)
        yield difference - descriptors[positives]


def _mean_of_rows(descriptors: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Returns the mean over `rows`, which may repeat."""
    times = np.bincount(rows, minlength=len(descriptors))
    total = np.zeros(descriptors.shape[1])
    for start in range(0, len(descriptors), _BLOCK):
        block = slice(start, start + _BLOCK)
        total += times[block] @ descriptors[block].astype(np.float64)
    return total / len(rows)


def _check_descriptors(descriptors: np.ndarray) -> None:
    if descriptors.ndim != 2:
        raise UserError(
            "Whitening is learned from descriptors of shape (photos, "
            f"dimension). Received: shape {descriptors.shape}"
        )
    for start in range(0, len(descriptors), _BLOCK):
        block = descriptors[start : start + _BLOCK]
        finite = np.isfinite(block).all(axis=1)
        if not finite.all():
            raise UserError(
                f"Descriptor {start + int(np.argmin(finite))} holds NaN or "
                "infinite values; extract the descriptors again."
            )


def _check_pairs(
    query_indices: np.ndarray, positive_indices: np.ndarray, photos: int
) -> tuple[np.ndarray, np.ndarray]:
    queries = np.asarray(query_indices, np.int64)
    positives = np.asarray(positive_indices, np.int64)
    if queries.ndim != 1 or queries.shape != positives.shape:
        raise UserError(
            "Each query needs one positive. Received: shapes "
            f"{queries.shape} and {positives.shape}"
        )
    if not queries.size:
        raise UserError("Learned whitening needs pairs; there are none.")
    lowest = min(queries.min(), positives.min())
    highest = max(queries.max(), positives.max())
    if lowest < 0 or highest >= photos:
        raise UserError(
            f"Pairs must be indices of {photos} descriptors. Received: indices "
            f"from {lowest} to {highest}"
        )
    return queries, positives

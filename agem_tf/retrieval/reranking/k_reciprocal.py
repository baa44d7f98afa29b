"""k-reciprocal re-ranking: photos with the same neighbours are similar.

Reference: Zhong et al., https://arxiv.org/abs/1701.08398
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from agem_tf.retrieval.reranking.steps import (
    RankingStep,
    Reorder,
    check_positive,
    nearest_others,
)

# Dot products of equal photos may differ by rounding if their blocks differ.
_TIE = 1e-6
# Descriptor values gathered per block: 64 MiB of float32.
_BLOCK_VALUES = 2**24


@dataclass(frozen=True)
class KReciprocal(RankingStep):
    """Ranks by (1 - lambda) Jaccard distance + lambda squared distance.

    The encoding of a photo has the entry exp(-d_j) for each j of its extended
    reciprocal neighbours R*, divided by their sum, where d = 2 - 2 s is the
    squared distance. Encodings are averaged over the nearest photos. The
    Jaccard distance is that of the encodings of query and photo.

    The authors' program encodes all queries and the database together. Here,
    each query is encoded separately against a database without queries, so
    that its result does not depend on other queries. That program also divides
    distances by the largest of their row, which the paper does not.

    Args:
        num_neighbours: k1; half of it is used to extend the reciprocal
            neighbours.
        num_averaged: k2, number of encodings averaged, including the photo's
            own; at most k1.
        distance_weight: lambda, in [0, 1].
    """

    num_neighbours: int = 20
    num_averaged: int = 6
    distance_weight: float = 0.3

    def __post_init__(self) -> None:
        check_positive(num_neighbours=self.num_neighbours)
        if not 1 <= self.num_averaged <= self.num_neighbours:
            raise ValueError(
                "`num_averaged` must be from 1 to `num_neighbours`. Received: "
                f"num_averaged={self.num_averaged}"
            )
        if not 0 <= self.distance_weight <= 1:
            raise ValueError(
                "`distance_weight` must be from 0 to 1. Received: "
                f"distance_weight={self.distance_weight}"
            )

    def prepare(self, database: np.ndarray) -> Reorder:
        """See the base class; encodes every photo."""
        encodings = _Encodings(database, self.num_neighbours, self.num_averaged)

        def reorder(
            query: np.ndarray, similarities: np.ndarray, order: np.ndarray
        ) -> np.ndarray:
            jaccard = encodings.jaccard_distances(similarities, order)
            squared = _squared_distances(similarities)
            share = self.distance_weight
            distances = (1 - share) * jaccard + share * squared
            return order[np.argsort(distances[order], kind="stable")]

        return reorder


class _Encodings:
    """Encodings of the photos, as sparse rows; also encodes queries."""

    def __init__(
        self, database: np.ndarray, num_neighbours: int, num_averaged: int
    ) -> None:
        indices, similarities = nearest_others(database, num_neighbours)
        self._num_neighbours = num_neighbours
        self._num_averaged = num_averaged
        # Least similarity to each photo of one of its neighbours.
        if similarities.shape[1] < num_neighbours:
            self._farthest = np.full(len(database), -np.inf, np.float32)
        else:
            self._farthest = similarities[:, -1]
        self._half = _reciprocal_sets(indices[:, : num_neighbours // 2])
        sets = _extend(_reciprocal_sets(indices), self._half)
        self._own = _encode(sets, _dot_products(database, sets))
        near = _sets(indices[:, : num_averaged - 1])
        averaged = near.astype(np.float64) @ self._own / num_averaged
        self._sums = averaged.sum(axis=1)
        self._averaged = sparse.csc_array(averaged)

    def jaccard_distances(
        self, similarities: np.ndarray, order: np.ndarray
    ) -> np.ndarray:
        """Returns 1 - sum_j min(v_j, w_j) / sum_j max(v_j, w_j), (photos,)."""
        encoding = self._encode_query(similarities, order)
        neighbours = np.flatnonzero(encoding)
        columns = self._averaged[:, neighbours]
        own = np.repeat(encoding[neighbours], np.diff(columns.indptr))
        minima = np.bincount(
            columns.indices, np.minimum(columns.data, own), len(similarities)
        )
        return 1 - minima / (self._sums + encoding.sum() - minima)

    def _encode_query(
        self, similarities: np.ndarray, order: np.ndarray
    ) -> np.ndarray:
        """Returns the averaged encoding of one query, (photos,)."""
        forward = order[: self._num_neighbours]
        is_mutual = similarities[forward] >= self._farthest[forward] - _TIE
        mutual = forward[is_mutual]
        neighbours = sparse.csr_array(
            (np.ones(len(mutual), np.int32), mutual, [0, len(mutual)]),
            shape=(1, len(similarities)),
        )
        extended = _extend(neighbours, self._half)
        own = _encode(extended, similarities[extended.indices])
        near = order[: self._num_averaged - 1]
        total = own.sum(axis=0) + self._own[near].sum(axis=0)
        return total / self._num_averaged


def _sets(indices: np.ndarray) -> sparse.csr_array:
    """Returns (photos, photos), ones at each photo's neighbours and itself."""
    photos = len(indices)
    members = np.column_stack([np.arange(photos), indices])
    size = members.shape[1]
    return sparse.csr_array(
        (
            np.ones(members.size, np.int32),
            members.ravel(),
            np.arange(photos + 1) * size,
        ),
        shape=(photos, photos),
    )


def _reciprocal_sets(indices: np.ndarray) -> sparse.csr_array:
    """Returns (photos, photos), ones at the mutual neighbours and itself."""
    sets = _sets(indices)
    return sparse.csr_array(sets.multiply(sets.T))


def _extend(
    neighbours: sparse.csr_array, half: sparse.csr_array
) -> sparse.csr_array:
    """Adds the sets of neighbours that share two thirds of their set.

    Args:
        neighbours: (rows, photos), ones at the reciprocal neighbours.
        half: (photos, photos), the same with half as many neighbours.
    """
    shared = sparse.csr_array((neighbours @ half).multiply(neighbours))
    sizes = half.sum(axis=1)
    shared.data = (3 * shared.data >= 2 * sizes[shared.indices]).astype(
        np.int32
    )
    extended = sparse.csr_array(neighbours + shared @ half)
    extended.eliminate_zeros()
    return extended


def _encode(
    sets: sparse.csr_array, similarities: np.ndarray
) -> sparse.csr_array:
    """Returns rows of exp(-d) at the members of each set, with sum 1."""
    weights = np.exp(-_squared_distances(similarities))
    encodings = sparse.csr_array(
        (weights, sets.indices, sets.indptr), shape=sets.shape
    )
    sums = np.repeat(encodings.sum(axis=1), np.diff(sets.indptr))
    encodings.data /= sums
    return encodings


def _squared_distances(similarities: np.ndarray) -> np.ndarray:
    """Returns squared distances of L2-normalised descriptors, in [0, 4]."""
    return 2 - 2 * similarities.astype(np.float64)


def _dot_products(database: np.ndarray, pairs: sparse.csr_array) -> np.ndarray:
    """Returns the dot products of photos i and j for the entries (i, j)."""
    first = np.repeat(np.arange(len(database)), np.diff(pairs.indptr))
    products = np.empty(len(first), np.float32)
    size = max(1, _BLOCK_VALUES // database.shape[1])
    for start in range(0, len(first), size):
        block = slice(start, start + size)
        rows, others = first[block], pairs.indices[block]
        products[block] = np.einsum(
            "ij,ij->i",
            np.asarray(database[rows], np.float32),
            np.asarray(database[others], np.float32),
        )
    return products

"""Descriptors averaged with their neighbours: query expansion and DBA.

Average query expansion is Chum et al., "Total recall", ICCV 2007; the weights
s^alpha are Radenovic et al. (https://arxiv.org/abs/1711.02512).
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from agem_tf.retrieval.nearest import nearest
from agem_tf.retrieval.reranking.steps import (
    DescriptorStep,
    check_positive,
    nearest_others,
    similarity_weights,
)

_EPSILON = 1e-12
# Descriptor values gathered at a time: 64 MiB of float32.
_BLOCK_VALUES = 2**24


@dataclass(frozen=True)
class QueryExpansion(DescriptorStep):
    """q' = L2(q + sum_i max(s_i, 0)^alpha d_i) over the query's neighbours.

    A query that is itself in the database is one of its own neighbours.

    Args:
        num_neighbours: photos averaged with the query, all of a smaller
            database.
        alpha: 0 is plain average query expansion (AQE); with more, similar
            photos count more.
    """

    num_neighbours: int = 10
    alpha: float = 0.0

    def __post_init__(self) -> None:
        _check(self)

    def transform(
        self, queries: np.ndarray, database: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """See the base class; the database stays."""
        found = nearest(queries, database, self.num_neighbours)
        return _average(queries, database, *found, self.alpha), database


@dataclass(frozen=True)
class DatabaseAugmentation(DescriptorStep):
    """DBA: d' = L2(d + sum_i max(s_i, 0)^alpha d_i) over d's neighbours.

    The photo itself counts once, with weight 1, and is not among its
    neighbours. All photos are averaged as they were before. The new database
    is in memory even where the old one was a memory map.

    Args:
        num_neighbours: other photos averaged with each, all of a smaller
            database.
        alpha: 0 is the plain average; with more, similar photos count more.
    """

    num_neighbours: int = 20
    alpha: float = 1.0

    def __post_init__(self) -> None:
        _check(self)

    def transform(
        self, queries: np.ndarray, database: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """See the base class; the queries stay."""
        found = nearest_others(database, self.num_neighbours)
        return queries, _average(database, database, *found, self.alpha)


def _average(
    descriptors: np.ndarray,
    database: np.ndarray,
    indices: np.ndarray,
    similarities: np.ndarray,
    alpha: float,
) -> np.ndarray:
    """L2(descriptors + the weighted database rows of `indices`), float32.

    Some rows at a time, and only the neighbours that these rows have: those of
    a few queries among a million photos on disk are a few.
    """
    weights = similarity_weights(similarities, alpha)
    averages = np.array(descriptors[:], np.float32)
    gathered = max(1, indices.shape[1] * averages.shape[1])
    size = max(1, _BLOCK_VALUES // gathered)
    for start in range(0, len(averages), size):
        rows = slice(start, start + size)
        averages[rows] += _weighted_sums(database, indices[rows], weights[rows])
    norms = np.sqrt(np.einsum("ij,ij->i", averages, averages))
    averages /= np.maximum(norms, _EPSILON)[:, np.newaxis]
    return averages


def _weighted_sums(
    database: np.ndarray, indices: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    neighbours, columns = np.unique(indices, return_inverse=True)
    rows, size = indices.shape
    combination = sparse.csr_array(
        (weights.ravel(), columns.ravel(), np.arange(rows + 1) * size),
        shape=(rows, len(neighbours)),
    )
    return combination @ np.asarray(database[neighbours], np.float32)


def _check(step: QueryExpansion | DatabaseAugmentation) -> None:
    check_positive(num_neighbours=step.num_neighbours)
    if not 0 <= step.alpha < np.inf:
        raise ValueError(
            f"`alpha` must be at least 0. Received: alpha={step.alpha}"
        )

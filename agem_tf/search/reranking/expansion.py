"""Descriptors averaged with their neighbours: query expansion and DBA.

Average query expansion is Chum et al., "Total recall", ICCV 2007; the weights
s^alpha are Radenovic et al. (https://arxiv.org/abs/1711.02512).
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from agem_tf.search.reranking.neighbours import (
    nearest_others,
    similarity_weights,
)
from agem_tf.search.reranking.steps import DescriptorStep, check_positive
from agem_tf.similarity import nearest

_EPSILON = 1e-12


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

    A sparse product, because gathered rows of 100,000 photos and 20
    neighbours each would fill 16 GB.
    """
    rows, neighbours = indices.shape
    weights = sparse.csr_array(
        (
            similarity_weights(similarities, alpha).ravel(),
            indices.ravel(),
            np.arange(rows + 1) * neighbours,
        ),
        shape=(rows, len(database)),
    )
    averages = weights @ np.asarray(database, np.float32)
    averages += descriptors
    norms = np.sqrt(np.einsum("ij,ij->i", averages, averages))
    averages /= np.maximum(norms, _EPSILON)[:, np.newaxis]
    return averages


def _check(step: QueryExpansion | DatabaseAugmentation) -> None:
    check_positive(num_neighbours=step.num_neighbours)
    if not 0 <= step.alpha < np.inf:
        raise ValueError(
            f"`alpha` must be at least 0. Received: alpha={step.alpha}"
        )

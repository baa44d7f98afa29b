"""Query expansion and database-side augmentation (DBA).

Both average descriptors with their neighbours.

References:
  Chum et al., "Total recall", ICCV 2007: average query expansion.
  Radenovic et al., https://arxiv.org/abs/1711.02512: the weights s^alpha.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import sparse

from agem_tf.files.rows import joined_rows
from agem_tf.retrieval.nearest import nearest
from agem_tf.retrieval.reranking.steps import (
    DescriptorStep,
    check_positive,
    nearest_others,
    similarity_weights,
)

_EPSILON = 1e-12
# Far above any use; powers of 1e300 of similarities that rounding has put
# slightly above 1 are infinite, and the descriptors NaN.
_LARGEST_ALPHA = 1000
# Descriptor values gathered per block: 64 MiB of float32.
_BLOCK_VALUES = 2**24


@dataclass(frozen=True)
class QueryExpansion(DescriptorStep):
    """q' = L2(q + sum_i max(s_i, 0)^alpha d_i) over the query's neighbours.

    A query that is in the database is one of its own neighbours.

    Args:
        num_neighbours: number of photos averaged with the query; all of a
            smaller database.
        alpha: exponent of the weights; 0 is average query expansion (AQE),
            larger values give more weight to similar photos.
    """

    num_neighbours: int = 10
    alpha: float = 0.0

    def __post_init__(self) -> None:
        _check_arguments(self)

    def expanded(self, queries: np.ndarray, database: np.ndarray) -> np.ndarray:
        """See the base class."""
        found = nearest(queries, database, self.num_neighbours)
        return _average(queries, database, *found, self.alpha)


@dataclass(frozen=True)
class DatabaseAugmentation(DescriptorStep):
    """DBA: d' = L2(d + sum_i max(s_i, 0)^alpha d_i) over d's neighbours.

    The photo itself has the weight 1 and is not among its neighbours. The sums
    are of the original descriptors. A large new database is mapped from a
    temporary file.

    Args:
        num_neighbours: number of other photos averaged with each photo; all
            of a smaller database.
        alpha: exponent of the weights; 0 is the plain average, larger values
            give more weight to similar photos.
    """

    compares_all: ClassVar[bool] = True

    num_neighbours: int = 20
    alpha: float = 1.0

    def __post_init__(self) -> None:
        _check_arguments(self)

    def augmented(self, database: np.ndarray) -> np.ndarray:
        """See the base class."""
        found = nearest_others(database, self.num_neighbours)
        return _average(database, database, *found, self.alpha)


def _average(
    descriptors: np.ndarray,
    database: np.ndarray,
    indices: np.ndarray,
    similarities: np.ndarray,
    alpha: float,
) -> np.ndarray:
    """Returns L2(descriptors + weighted sums of neighbours), float32."""
    blocks = _averaged_blocks(
        descriptors,
        database,
        indices,
        similarity_weights(similarities, alpha),
    )
    return joined_rows(blocks, descriptors.shape)


def _averaged_blocks(
    descriptors: np.ndarray,
    database: np.ndarray,
    indices: np.ndarray,
    weights: np.ndarray,
) -> Iterator[np.ndarray]:
    """Yields blocks of averages, and reads only the neighbours of each block.

    They are few for a few queries and a database of a million photos on disk.
    """
    gathered = max(1, indices.shape[1] * descriptors.shape[1])
    size = max(1, _BLOCK_VALUES // gathered)
    for start in range(0, len(descriptors), size):
        rows = slice(start, start + size)
        neighbours, columns = np.unique(indices[rows], return_inverse=True)
        count, per_row = indices[rows].shape
        combination = sparse.csr_array(
            (
                weights[rows].ravel(),
                columns.ravel(),
                np.arange(count + 1) * per_row,
            ),
            shape=(count, len(neighbours)),
        )
        averages = np.array(descriptors[rows], np.float32)
        averages += combination @ np.asarray(database[neighbours], np.float32)
        norms = np.sqrt(np.einsum("ij,ij->i", averages, averages))
        yield averages / np.maximum(norms, _EPSILON)[:, np.newaxis]


def _check_arguments(step: QueryExpansion | DatabaseAugmentation) -> None:
    check_positive(num_neighbours=step.num_neighbours)
    if not 0 <= step.alpha <= _LARGEST_ALPHA:
        raise ValueError(
            f"`alpha` must be from 0 to {_LARGEST_ALPHA}. "
            f"Received: alpha={step.alpha}"
        )

"""The tuples of an epoch: query, positive and mined hard negatives.

Everything is a function of (seed, epoch) and the descriptors, so an interrupted
epoch can be drawn again.
"""

from collections.abc import Callable

import numpy as np

from agem_tf.config import MiningConfig
from agem_tf.errors import UserError
from agem_tf.mining.hard_negatives import mine

Describe = Callable[[np.ndarray], np.ndarray]


class TupleSampler:
    """Draws queries, positives and a pool, and mines the negatives.

    Without published pairs a query's positive is any other photo of its
    landmark (interpretation; retrieval-SfM comes with a list of pairs).

    Args:
        labels: (photos,) landmark of each photo.
        config: how many of what.
        seed: of every draw.

    Raises:
        UserError: no landmark has two photos.
    """

    def __init__(self, labels: np.ndarray, config: MiningConfig, seed: int):
        self._labels = np.asarray(labels)
        self._config, self._seed = config, seed
        _, inverse, counts = np.unique(
            self._labels, return_inverse=True, return_counts=True
        )
        self._paired = np.flatnonzero(counts[inverse] > 1)
        if not len(self._paired):
            raise UserError(
                "No landmark of the split has two photos; training needs pairs."
            )

    @property
    def num_tuples(self) -> int:
        """Tuples an epoch."""
        return min(self._config.num_queries, len(self._paired))

    def draw(self, epoch: int, describe: Describe) -> np.ndarray:
        """Returns (tuples, 2 + negatives) photo indices of an epoch.

        Args:
            epoch: 0-based.
            describe: maps photo indices to their current descriptors; called
                once, with the queries and the pool.

        Raises:
            UserError: the pool has too few landmarks for the negatives.
        """
        rng = np.random.default_rng([self._seed, epoch])
        queries = rng.permutation(self._paired)[: self.num_tuples]
        positives = np.array([self._positive(query, rng) for query in queries])
        pool = rng.permutation(len(self._labels))[: self._config.pool_size]
        needed = np.unique(np.concatenate([queries, pool]))
        descriptors = describe(needed)
        negatives = mine(
            descriptors[np.searchsorted(needed, queries)],
            descriptors[np.searchsorted(needed, pool)],
            self._labels[queries],
            self._labels[pool],
            self._config.num_negatives,
        )
        return np.column_stack([queries, positives, pool[negatives]])

    def _positive(self, query: int, rng: np.random.Generator) -> int:
        same = np.flatnonzero(self._labels == self._labels[query])
        return rng.choice(same[same != query])

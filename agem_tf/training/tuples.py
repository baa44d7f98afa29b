"""The tuples of an epoch: query, positive and mined hard negatives.

Everything is a function of (seed, epoch) and the descriptors, so an interrupted
epoch can be drawn again.
"""

from collections.abc import Callable

import numpy as np

from agem_tf.config import MiningConfig
from agem_tf.data.prepared import Split
from agem_tf.errors import UserError
from agem_tf.mining.hard_negatives import mine
from agem_tf.training.pairs import Pairs

Describe = Callable[[np.ndarray], np.ndarray]


class TupleSampler:
    """Draws pairs and a pool of photos, and mines the negatives.

    Args:
        split: the photos and their landmarks.
        pairs: of its queries and positives.
        config: how many of what.
        seed: of every draw.

    Raises:
        UserError: too few landmarks are there for the negatives.
    """

    def __init__(
        self, split: Split, pairs: Pairs, config: MiningConfig, seed: int
    ):
        self._labels, self._pairs = split.labels, pairs
        self._config, self._seed = config, seed
        landmarks = len(np.unique(self._labels[pairs.candidates]))
        if landmarks <= config.num_negatives:
            raise UserError(
                f"Split {split.name} has {landmarks} usable landmarks, but a "
                f"query and mining.num_negatives={config.num_negatives} need "
                f"{config.num_negatives + 1}; give the split more (--option of "
                "agem_tf.prepare) or lower it."
            )

    @property
    def num_tuples(self) -> int:
        """Tuples an epoch."""
        return min(self._config.num_queries, len(self._pairs))

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
        pairs = self._pairs.draw(rng, self.num_tuples)
        pool = rng.permutation(self._pairs.candidates)
        return self._add_negatives(
            pairs, pool[: self._config.pool_size], describe
        )

    def draw_all(self, describe: Describe) -> np.ndarray:
        """Returns tuples of all pairs, with negatives of the whole split.

        The pairs are always the same; the negatives follow the descriptors.
        Arguments, result and errors are those of `draw`.
        """
        rng = np.random.default_rng([self._seed, 0])
        pairs = self._pairs.draw(rng, len(self._pairs))
        return self._add_negatives(pairs, self._pairs.candidates, describe)

    def _add_negatives(
        self, pairs: np.ndarray, pool: np.ndarray, describe: Describe
    ) -> np.ndarray:
        queries = pairs[:, 0]
        needed = np.unique(np.concatenate([queries, pool]))
        descriptors = describe(needed)
        negatives = mine(
            descriptors[np.searchsorted(needed, queries)],
            descriptors[np.searchsorted(needed, pool)],
            self._labels[queries],
            self._labels[pool],
            self._config.num_negatives,
        )
        return np.column_stack([pairs, pool[negatives]])

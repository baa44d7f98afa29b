"""The tuples of an epoch: query, positive and mined hard negatives.

Everything is a function of (seed, epoch) and the descriptors, so an interrupted
epoch can be drawn again.
"""

from collections.abc import Callable

import numpy as np

from agem_tf.config import MiningConfig
from agem_tf.data.prepared import Split
from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth
from agem_tf.mining.hard_negatives import mine

Describe = Callable[[np.ndarray], np.ndarray]


class TupleSampler:
    """Draws queries, positives and a pool, and mines the negatives.

    A query's positive is drawn from its easy and hard photos. Photos that are
    neither a query nor anybody's positive show too little to teach anything,
    and are left out of the pool too (interpretation: retrieval-SfM, which the
    published training uses, has no such photos).

    Args:
        split: the photos and their landmarks.
        ground_truth: of the same photos.
        config: how many of what.
        seed: of every draw.

    Raises:
        UserError: no query has a positive, or too few landmarks are left for
            the negatives.
    """

    def __init__(
        self,
        split: Split,
        ground_truth: GroundTruth,
        config: MiningConfig,
        seed: int,
    ):
        self._labels, self._config, self._seed = split.labels, config, seed
        photos = split.find(ground_truth.database_names)
        self._positives = {
            int(query): photos[np.concatenate([truth.easy, truth.hard])]
            for query, truth in zip(
                split.find(ground_truth.query_names),
                ground_truth.queries,
                strict=True,
            )
            if len(truth.easy) + len(truth.hard)
        }
        if not self._positives:
            raise UserError(
                f"No query of split {split.name} has a positive; training "
                "needs landmarks with two photos."
            )
        self._queries = np.array(sorted(self._positives))
        self._usable = np.unique(
            np.concatenate([self._queries, *self._positives.values()])
        )
        landmarks = len(np.unique(self._labels[self._usable]))
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
        return min(self._config.num_queries, len(self._queries))

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
        queries = rng.permutation(self._queries)[: self.num_tuples]
        positives = [rng.choice(self._positives[query]) for query in queries]
        pool = rng.permutation(self._usable)[: self._config.pool_size]
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

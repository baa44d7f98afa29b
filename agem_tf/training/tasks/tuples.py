"""The tuples of an epoch: query, positive and mined hard negatives.

Everything is a function of (seed, epoch) and the descriptors, so an interrupted
epoch can be drawn again.

Learning from tuples: a query, its positive and mined hard negatives.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from agem_tf.config import Config, MiningConfig
from agem_tf.datasets.prepared import PreparedDataset, Split
from agem_tf.errors import UserError
from agem_tf.training.tasks.hard_negatives import mine_negatives
from agem_tf.training.tasks.objective import TupleObjective
from agem_tf.training.tasks.pairs import Pairs, find_pairs

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
        negatives = mine_negatives(
            descriptors[np.searchsorted(needed, queries)],
            descriptors[np.searchsorted(needed, pool)],
            self._labels[queries],
            self._labels[pool],
            self._config.num_negatives,
        )
        return np.column_stack([pairs, pool[negatives]])


class TupleTask:
    """Mines tuples anew in every epoch; see `task.Task`.

    The validation loss is that of all pairs of the validation split, which stay
    the same in every epoch; their negatives are mined from the whole split with
    the current descriptors. So it is in the published training, and no draw of
    a few pairs decides which epoch is the best.

    Args:
        config: the recipe.
        dataset: its training and validation splits have pairs.

    Raises:
        UserError: a split has no pairs or too few landmarks, or the loss does
            not take the recipe's options.
    """

    variables = ()

    def __init__(self, config: Config, dataset: PreparedDataset):
        self.split, self._sampler = _open(
            dataset, config.data.train_split, config
        )
        self._unseen, self._unseen_sampler = _open(
            dataset, config.data.validation_split, config
        )
        self._batch_tuples = config.training.batch_tuples
        self.loss = TupleObjective(config)

    @property
    def num_tuples(self) -> int:
        return self._sampler.num_tuples

    def draw(self, epoch: int, describe: Describe) -> np.ndarray:
        return self._sampler.draw(epoch, describe)

    def validate(self, descriptors: np.ndarray) -> dict[str, float]:
        tuples = self._unseen_sampler.draw_all(descriptors.__getitem__)
        # In batches as in training, for a loss may be one of batches.
        starts = range(0, len(tuples), self._batch_tuples)
        batches = [tuples[at : at + self._batch_tuples] for at in starts]
        losses = [
            self.loss(
                tf.constant(self._unseen.labels[batch]),
                tf.constant(descriptors[batch]),
            )
            for batch in batches
        ]
        return {"validation_loss": sum(map(float, losses)) / len(tuples)}


def _open(
    dataset: PreparedDataset, name: str, config: Config
) -> tuple[Split, TupleSampler]:
    split = dataset.split(name)
    pairs = find_pairs(split, dataset)
    seed = config.training.seed
    return split, TupleSampler(split, pairs, config.mining, seed)

"""Learning from tuples: a query, its positive and mined hard negatives."""

import numpy as np
import tensorflow as tf

from agem_tf.config import Config
from agem_tf.data.prepared import PreparedDataset, Split
from agem_tf.training.objective import TupleObjective
from agem_tf.training.pairs import find_pairs
from agem_tf.training.tuples import Describe, TupleSampler


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

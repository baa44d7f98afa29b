"""What a run learns from: mined tuples, or lone photos and their classes.

The loop, the step and the validation know a task, and not which one it is.
"""

from collections.abc import Sequence
from typing import Protocol

import keras
import numpy as np
import tensorflow as tf

from agem_tf.config import Config
from agem_tf.datasets.prepared import PreparedDataset, Split
from agem_tf.training.tasks.classification import ClassificationTask
from agem_tf.training.tasks.tuples import Describe, TupleTask


class Task(Protocol):
    """Draws the photos of an epoch and gives the loss of some of them.

    Attributes:
        split: the photos that are drawn, with the labels that `loss` takes.
        num_tuples: tuples an epoch; a lone photo is a tuple of one.
        variables: what learns beside the network, and ends with training.
    """

    split: Split
    num_tuples: int
    variables: Sequence[keras.Variable]

    def draw(self, epoch: int, describe: Describe) -> np.ndarray:
        """Returns (tuples, images a tuple) photo indices of an epoch.

        Args:
            epoch: 0-based; with the recipe's seed it decides every choice.
            describe: maps photo indices to their current descriptors.
        """

    def loss(self, labels: tf.Tensor, descriptors: tf.Tensor) -> tf.Tensor:
        """Computes the loss of a batch, or a replica's share of it.

        Args:
            labels: (tuples, images a tuple), of the split.
            descriptors: (tuples, images a tuple, dimension).

        Returns:
            A scalar, summed over tuples; the replicas' shares add up to the
            loss of the batch.
        """

    def validate(self, descriptors: np.ndarray) -> dict[str, float]:
        """Returns what an epoch's row of the history says beside the mAP.

        Args:
            descriptors: (photos, dimension) of the validation split.
        """


def create_task(
    config: Config, dataset: PreparedDataset, dimension: int
) -> Task:
    """Returns the task of the recipe's loss.

    Args:
        config: the recipe.
        dataset: where its splits are.
        dimension: of a descriptor.

    Raises:
        UserError: the loss does not take the recipe's options, or its splits
            have too few landmarks or pairs.
    """
    if config.loss.classifies:
        split = dataset.split(config.data.train_split)
        return ClassificationTask(config, split, dimension)
    return TupleTask(config, dataset)

"""Classification: single photos, and one class per landmark."""

import dataclasses
from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from agem_tf.config import Config
from agem_tf.datasets.prepared import Split
from agem_tf.errors import UserError
from agem_tf.training.tasks.task import (
    Describe,
    create_classifier,
    create_loss,
)


class ClassificationTask:
    """Shows every labelled photo once per epoch; see `Task`.

    The classes are the landmarks of the training split, in the order of their
    labels. Unlabelled photos are left out. A classifier with one vector per
    class is trained beside the network and is not part of the final model.

    There is no validation loss: the landmarks of the validation split are not
    among the classes.

    Args:
        config: The recipe; `loss.name` has a classifier.
        split: The training split.
        dimension: Length of a descriptor.

    Raises:
        UserError: The split has fewer than two landmarks, or the loss or the
            classifier does not take the recipe's options.
    """

    def __init__(self, config: Config, split: Split, dimension: int):
        self._photos = np.flatnonzero(split.labels >= 0)
        landmarks = np.unique(split.labels[self._photos])
        if len(landmarks) < 2:
            raise UserError(
                f"Split {split.name} has photos of {len(landmarks)} known "
                f"landmark(s), and loss.name={config.loss.name} learns to "
                "distinguish landmarks; give it at least two."
            )
        self.split = dataclasses.replace(
            split, labels=np.searchsorted(landmarks, split.labels)
        )
        self._seed = config.training.seed
        self._loss = create_loss(config.loss)
        self._classifier = create_classifier(
            config.loss, len(landmarks), self._seed
        )
        self._classifier.build((None, dimension))

    @property
    def num_tuples(self) -> int:
        return len(self._photos)

    @property
    def variables(self) -> Sequence[keras.Variable]:
        return self._classifier.variables

    def draw(self, epoch: int, describe: Describe) -> np.ndarray:
        del describe  # Nothing is mined.
        rng = np.random.default_rng([self._seed, epoch])
        return rng.permutation(self._photos)[:, np.newaxis]

    def loss(
        self,
        outputs: Mapping[str, tf.Tensor],
        batch: Mapping[str, tf.Tensor],
    ) -> tf.Tensor:
        descriptors = outputs["descriptors"]
        scores = self._classifier(
            tf.reshape(descriptors, (-1, descriptors.shape[-1]))
        )
        return self._loss(tf.reshape(batch["landmark"], (-1,)), scores)

    def validate(self, descriptors: np.ndarray) -> dict[str, float]:
        del descriptors  # Their landmarks are not among the classes.
        return {}

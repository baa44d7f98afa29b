"""Learning to tell landmarks apart: photos alone, and a class a landmark."""

import dataclasses
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from agem_tf import registry
from agem_tf.config import Config
from agem_tf.datasets.prepared import Split
from agem_tf.errors import UserError
from agem_tf.training.tasks.objective import create_loss
from agem_tf.training.tasks.tuples import Describe


class ClassificationTask:
    """Shows every photo once an epoch; see `task.Task`.

    The classes are the landmarks of the training split, in the order of their
    labels. Photos whose landmark nobody knows are left out. A classifier with
    a vector for each class learns beside the network; it serves training, and
    is no part of the model that is kept in the end.

    There is no validation loss: the landmarks of a validation split are other
    ones than those of training, so that it has no classes.

    Args:
        config: the recipe; `loss.name` has a classifier.
        split: that trains.
        dimension: of a descriptor.

    Raises:
        UserError: there is but one landmark, or the loss does not take the
            recipe's options.
    """

    def __init__(self, config: Config, split: Split, dimension: int):
        self._photos = np.flatnonzero(split.labels >= 0)
        landmarks = np.unique(split.labels[self._photos])
        _check_landmarks(landmarks, split, config.loss.name)
        self.split = dataclasses.replace(
            split, labels=np.searchsorted(landmarks, split.labels)
        )
        self._seed = config.training.seed
        self._loss = create_loss(config.loss)
        self._classifier = registry.create(
            "classifier",
            config.loss.name,
            num_classes=len(landmarks),
            seed=self._seed,
            name="classifier",
            dtype="float32",
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

    def loss(self, labels: tf.Tensor, descriptors: tf.Tensor) -> tf.Tensor:
        scores = self._classifier(
            tf.reshape(descriptors, (-1, descriptors.shape[-1]))
        )
        return self._loss(tf.reshape(labels, (-1,)), scores)

    def validate(self, descriptors: np.ndarray) -> dict[str, float]:
        del descriptors  # Their landmarks are no classes.
        return {}


def _check_landmarks(landmarks: np.ndarray, split: Split, loss: str) -> None:
    if len(landmarks) < 2:
        raise UserError(
            f"Split {split.name} has photos of {len(landmarks)} known "
            f"landmark(s), and loss.name={loss} learns to tell landmarks "
            "apart; give it at least two."
        )

"""The interface of a training task.

The loop, the step and the validation use any task through it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import keras
import numpy as np
import tensorflow as tf

from agem_tf import registry
from agem_tf.config import LossConfig
from agem_tf.datasets.prepared import Split
from agem_tf.errors import UserError

# Maps photo indices to their current descriptors, (photos, dimension).
Describe = Callable[[np.ndarray], np.ndarray]


class Task(Protocol):
    """Draws the photos of an epoch and computes the loss of a batch.

    Attributes:
        split: Photos that are drawn, with the labels that `loss` takes.
        num_tuples: Tuples per epoch; a single photo is a tuple of one.
        variables: Variables that are trained beside the network's, and are
            dropped after training.
    """

    split: Split
    num_tuples: int
    variables: Sequence[keras.Variable]

    def draw(self, epoch: int, describe: Describe) -> np.ndarray:
        """Returns the (tuples, images per tuple) photo indices of an epoch.

        Args:
            epoch: 0-based; it and the recipe's seed determine every choice.
            describe: Returns the current descriptors of photos.
        """

    def loss(
        self,
        outputs: Mapping[str, tf.Tensor],
        batch: Mapping[str, tf.Tensor],
    ) -> tf.Tensor:
        """Computes the loss of a batch, or the share of one replica.

        Args:
            outputs: What the network computes of the batch: "descriptors",
                (tuples, images per tuple, dimension), and of a network with a
                local branch the other outputs of `AGeM.joint_network`.
            batch: As `PhotoPipeline.tuples` yields it; "landmark" holds the
                (tuples, images per tuple) labels of `split`.

        Returns:
            A scalar, summed over tuples; the shares of the replicas add up to
            the loss of the batch.
        """

    def validate(self, descriptors: np.ndarray) -> dict[str, float]:
        """Returns the history's validation figures other than the mAP.

        Args:
            descriptors: (photos, dimension) of the validation split.
        """


def create_classifier(
    config: LossConfig, num_classes: int, seed: int = 0
) -> keras.layers.Layer:
    """Returns the classifier of the recipe's loss, which has one.

    Raises:
        UserError: It does not take the recipe's options.
    """
    try:
        return registry.factory("classifier", config.name)(
            num_classes=num_classes,
            seed=seed,
            name="classifier",
            dtype="float32",
            **config.classifier_options,
        )
    except (TypeError, ValueError) as error:
        raise UserError(
            f"The recipe's classifier can't be built: {error}"
        ) from error


def check_loss(config: LossConfig) -> None:
    """Checks the options of loss and classifier, before anything slow runs.

    Raises:
        UserError: One of them does not take the recipe's options.
    """
    create_loss(config)
    if config.classifies:
        create_classifier(config, num_classes=2)


def create_loss(config: LossConfig) -> keras.losses.Loss:
    """Returns the recipe's loss, summed as in the published training.

    Raises:
        UserError: It does not take the recipe's options.
    """
    try:
        return registry.factory("loss", config.name)(
            reduction="sum", **config.options
        )
    except (TypeError, ValueError) as error:
        raise UserError(f"The recipe's loss can't be built: {error}") from error

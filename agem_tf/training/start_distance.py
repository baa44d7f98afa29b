"""A term of the loss that holds descriptors near those before training."""

from collections.abc import Callable

import tensorflow as tf

from agem_tf.models import AGeM
from agem_tf.training.step import Tensors


class LossNearStart:
    """Adds the squared distance from the start to the loss of a task.

    With the descriptors `d` of the network and `d_0` of the same network before
    training:

    `loss of the task + weight * sum over tuples of mean over photos of
    |d - d_0| ** 2`

    Distillation from the network's own start, as in [Less-forgetful
    learning](https://arxiv.org/abs/1607.00122), but on descriptors.

    Args:
        loss: Loss of a task; see `Task.loss`.
        weight: Weight of the distance, above 0.
    """

    def __init__(
        self, loss: Callable[[Tensors, Tensors], tf.Tensor], weight: float
    ):
        self._loss, self._weight = loss, weight

    def __call__(self, outputs: Tensors, batch: Tensors) -> tf.Tensor:
        """Computes the loss of a batch; see `Task.loss`.

        Args:
            outputs: What `training_networks` compute with `start`.
            batch: As `PhotoPipeline.tuples` yields it.
        """
        moved = outputs["descriptors"] - tf.stop_gradient(
            outputs["start_descriptors"]
        )
        distances = tf.reduce_sum(moved**2, axis=-1)
        held = tf.reduce_sum(tf.reduce_mean(distances, axis=1))
        return self._loss(outputs, batch) + self._weight * held


def untrained_copy(model: AGeM) -> AGeM:
    """Returns a network of the same kind that learns nothing.

    Its weights are those of the model only after `set_weights`.
    """
    copy = type(model).from_config(model.get_config())
    copy.trainable = False
    return copy

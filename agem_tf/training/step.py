"""The compiled training step: several optimizer steps a call, any strategy."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import keras
import tensorflow as tf

from agem_tf.config import Config
from agem_tf.extraction.pyramid import Describer
from agem_tf.models import AGeM
from agem_tf.training.optimizers import RuleOptimizer


class Taken(NamedTuple):
    """What came of some steps; tensors.

    Attributes:
        steps: how many were taken.
        loss: the sum given, plus the losses of these steps.
        waited: seconds in which they waited for photos.
        faults: (quantities,) above 0 for each quantity of the last step that
            is NaN or infinite; see `TrainingStep.quantities`.
    """

    steps: tf.Tensor
    loss: tf.Tensor
    waited: tf.Tensor
    faults: tf.Tensor


class TrainingStep:
    """Runs optimizer steps on batches of tuples.

    Args:
        config: the recipe.
        model: what is trained.
        loss: see `task.Task.loss`.
        optimizer: built over everything that learns.
        strategy: the model was created under it.
    """

    def __init__(
        self,
        config: Config,
        model: AGeM,
        loss: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
        optimizer: RuleOptimizer,
        strategy: tf.distribute.Strategy,
    ):
        self._model, self._optimizer = model, optimizer
        self._strategy = strategy
        self._loss = loss
        self._describer = Describer(
            model, config.image, learned=optimizer.trainable_variables
        )
        _synchronize_statistics(model)

    @property
    def quantities(self) -> list[str]:
        """What each step checks, in the order in which it is computed."""
        return ["descriptors", "loss"] + [
            f"gradient of {variable.path}"
            for variable in self._optimizer.trainable_variables
        ]

    @tf.function
    def run(
        self, iterator: Iterator, num_steps: tf.Tensor, loss: tf.Tensor
    ) -> Taken:
        """Takes `num_steps` steps, or fewer if a number is not finite.

        Args:
            iterator: of a distributed dataset.
            num_steps: scalar int32.
            loss: scalar float32, the sum of the losses so far. Adding to it
                here makes the sum independent of the number of calls.
        """
        steps, waited = tf.constant(0), tf.constant(0.0, tf.float64)
        faults = tf.zeros(len(self.quantities))
        while steps < num_steps and tf.reduce_sum(faults) < 1:
            batch, seconds = _timed_next(iterator)
            losses, replica_faults = self._strategy.run(
                self.replica_step, args=(batch,)
            )
            loss += self._sum(losses)
            faults = self._sum(replica_faults)
            waited += seconds
            steps += 1
        return Taken(steps, loss, waited, faults)

    def _sum(self, values: tf.Tensor) -> tf.Tensor:
        return self._strategy.reduce(
            tf.distribute.ReduceOp.SUM, values, axis=None
        )

    def replica_step(
        self, batch: dict[str, tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Takes one step, inside a replica: all that a device compiles.

        Args:
            batch: as `PhotoPipeline.tuples` gives it.

        Returns:
            The replica's share of the loss, and (quantities,) as in `Taken`.
        """
        variables = self._optimizer.trainable_variables
        with tf.GradientTape() as tape:
            descriptors = self._describe_tuples(batch)
            loss = self._loss(batch["landmark"], descriptors)
        gradients = tape.gradient(
            loss,
            [variable.value for variable in variables],
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        self._optimizer.apply(gradients)
        return loss, _not_finite([descriptors, loss, *gradients])

    def _describe_tuples(self, batch: dict[str, tf.Tensor]) -> tf.Tensor:
        images, valid = batch["image"], batch["valid"]
        descriptors = self._describer(
            tf.reshape(images, (-1, *images.shape[2:])),
            tf.reshape(valid, (-1, 2)),
        )
        return tf.reshape(
            descriptors, (-1, images.shape[1], descriptors.shape[-1])
        )


def _synchronize_statistics(model: keras.Model) -> None:
    """Makes batch normalization see the batch of all replicas.

    On one device too, for Keras then takes another formula for the variance:
    gradients of small channels would differ by a percent between strategies.
    """
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True


def _timed_next(
    iterator: Iterator,
) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
    """Returns the next batch and the seconds until it was there.

    The loop around this knows that the last step is done, so nothing else runs
    meanwhile, and what is measured is time lost.
    """
    start = tf.timestamp()
    with tf.control_dependencies([start]):
        batch = next(iterator)
    tensors = tf.nest.flatten(batch, expand_composites=True)
    with tf.control_dependencies(tensors):
        return batch, tf.timestamp() - start


def _not_finite(values: Sequence[tf.Tensor]) -> tf.Tensor:
    """(values,) float32: 1 for each tensor with a NaN or an infinity."""
    finite = [tf.reduce_all(tf.math.is_finite(value)) for value in values]
    return 1.0 - tf.cast(tf.stack(finite), tf.float32)

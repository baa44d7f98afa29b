"""The compiled training step: several optimizer steps per call."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import tensorflow as tf

from agem_tf.training.optimizers import RuleOptimizer

Tensors = Mapping[str, tf.Tensor]


class StepResult(NamedTuple):
    """Result of one call of the training step.

    Attributes:
        steps: Number of optimizer steps taken.
        loss: The given sum of losses, plus the losses of these steps.
        waited: Seconds that these steps waited for photos.
        faults: (quantities,) Above 0 for each quantity of the last step that
            is NaN or infinite; see `TrainingStep.quantities`.
    """

    steps: tf.Tensor
    loss: tf.Tensor
    waited: tf.Tensor
    faults: tf.Tensor


class TrainingStep:
    """Takes optimizer steps on batches.

    Args:
        networks: Map a batch to the outputs that the loss takes. Of several,
            each step draws one, the same on all replicas, so that each is
            compiled for a static shape.
        loss: Maps outputs and batch to a scalar; see `Task.loss`.
        optimizer: Optimizer of everything that is trained.
        strategy: Strategy under which the variables were created.
        seed: Determines, with the number of the step, which network is drawn.
    """

    def __init__(
        self,
        networks: Sequence[Callable[[Tensors], Tensors]],
        loss: Callable[[Tensors, Tensors], tf.Tensor],
        optimizer: RuleOptimizer,
        strategy: tf.distribute.Strategy,
        seed: int = 0,
    ):
        self._networks, self._loss, self._seed = networks, loss, seed
        self._optimizer, self._strategy = optimizer, strategy
        # What each step checks, in the order in which it is computed.
        self.quantities = ["outputs of the network", "loss"] + [
            f"gradient of {variable.path}"
            for variable in optimizer.trainable_variables
        ]

    @tf.function
    def run(
        self, iterator: Iterator, num_steps: tf.Tensor, loss: tf.Tensor
    ) -> StepResult:
        """Takes `num_steps` steps, or fewer if a number is not finite.

        Args:
            iterator: Iterator of a distributed dataset.
            num_steps: Scalar int32.
            loss: Scalar float32, the sum of the losses so far. Because it is
                added to here, the sum does not depend on the number of calls.
        """
        steps, waited = tf.constant(0), tf.constant(0.0, tf.float64)
        faults = tf.zeros(len(self.quantities))
        while steps < num_steps and tf.reduce_sum(faults) < 1:
            batch, seconds = _timed_next(iterator)
            step_loss, faults = self._step(batch)
            loss += step_loss
            waited += seconds
            steps += 1
        return StepResult(steps, loss, waited, faults)

    def _step(self, batch: Tensors) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the loss and the faults of a step, over all replicas."""

        def step_with(number: int) -> tuple[tf.Tensor, tf.Tensor]:
            losses, faults = self._strategy.run(
                lambda batch: self.replica_step(batch, number), args=(batch,)
            )
            return self._sum(losses), self._sum(faults)

        count = len(self._networks)
        if count == 1:
            return step_with(0)
        drawn = tf.random.stateless_uniform(
            (), (self._seed, self._optimizer.steps), 0, count, tf.int32
        )
        branches = [functools.partial(step_with, i) for i in range(count)]
        return tf.switch_case(drawn, branches)

    def _sum(self, values: tf.Tensor) -> tf.Tensor:
        return self._strategy.reduce(
            tf.distribute.ReduceOp.SUM, values, axis=None
        )

    def replica_step(
        self, batch: Tensors, number: int = 0
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Takes one step inside a replica: the program that a device compiles.

        Args:
            batch: As `PhotoPipeline.tuples` yields it.
            number: Position of the network.

        Returns:
            The replica's share of the loss, and its (quantities,) float32
            faults, as in `StepResult`.
        """
        variables = self._optimizer.trainable_variables
        with tf.GradientTape() as tape:
            outputs = self._networks[number](batch)
            loss = self._loss(outputs, batch)
        gradients = tape.gradient(
            loss,
            [variable.value for variable in variables],
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        self._optimizer.apply(gradients)
        finite = [
            tf.reduce_all(
                [tf.reduce_all(tf.math.is_finite(x)) for x in outputs.values()]
            ),
            *(tf.reduce_all(tf.math.is_finite(x)) for x in (loss, *gradients)),
        ]
        return loss, 1.0 - tf.cast(tf.stack(finite), tf.float32)


def _timed_next(iterator: Iterator) -> tuple[Tensors, tf.Tensor]:
    """Returns the next batch and the seconds until it was available.

    The enclosing loop has waited for the previous step, so nothing else runs
    meanwhile, and these seconds are lost.
    """
    start = tf.timestamp()
    with tf.control_dependencies([start]):
        batch = next(iterator)
    tensors = tf.nest.flatten(batch, expand_composites=True)
    with tf.control_dependencies(tensors):
        return batch, tf.timestamp() - start

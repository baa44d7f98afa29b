"""The compiled training step: several optimizer steps per call."""

import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from agem_tf.training.optimizers import RuleOptimizer

Tensors = Mapping[str, tf.Tensor]


class StepResult(NamedTuple):
    """Result of one call of the training step.

    Attributes:
        steps: Number of optimizer steps taken, up to the first with a fault.
        loss: The given sum of losses, plus the losses of these steps.
        gradient_norm: Norm of the gradients of the last of `steps`; see
            `RuleOptimizer.apply`.
        waited: Seconds that these steps waited for photos.
        faults: (quantities,) Above 0 for each quantity of the last of `steps`
            that is NaN or infinite; see `TrainingStep.quantities`.
        stop: Whether a worker was to stop before these steps.
    """

    steps: tf.Tensor
    loss: tf.Tensor
    gradient_norm: tf.Tensor
    waited: tf.Tensor
    faults: tf.Tensor
    stop: tf.Tensor


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
        parts: Number of equal parts of a replica's batch whose gradients are
            computed one after the other and summed; see
            `training.accumulate_steps`.
        clock: Returns the time in seconds; `host_clock` with deterministic
            kernels.
        jit_compile: Whether XLA compiles the step, of one replica.
    """

    def __init__(
        self,
        networks: Sequence[Callable[[Tensors], Tensors]],
        loss: Callable[[Tensors, Tensors], tf.Tensor],
        optimizer: RuleOptimizer,
        strategy: tf.distribute.Strategy,
        seed: int = 0,
        parts: int = 1,
        clock: Callable[[], tf.Tensor] = tf.timestamp,
        jit_compile: bool = False,
    ):
        self._networks, self._loss = networks, loss
        self._seed, self._parts, self._clock = seed, parts, clock
        self._optimizer, self._strategy = optimizer, strategy
        self._replica_step = self.replica_step
        if jit_compile:
            self._replica_step = tf.function(
                self.replica_step, jit_compile=True
            )
        # What each step checks, in the order in which it is computed.
        self.quantities = ["outputs of the network", "loss"] + [
            f"gradient of {variable.path}"
            for variable in optimizer.trainable_variables
        ]

    @tf.function
    def run(
        self,
        iterator: Iterator,
        num_steps: tf.Tensor,
        loss: tf.Tensor,
        stop: tf.Tensor,
    ) -> StepResult:
        """Takes `num_steps` steps.

        Nothing in them waits for a number from the device: steps after one
        with a fault are taken too, and don't count.

        Args:
            iterator: Iterator of a distributed dataset.
            num_steps: Scalar int32.
            loss: Scalar float32, the sum of the losses so far. Because it is
                added to here, the sum does not depend on the number of calls.
            stop: Scalar bool, whether this worker is to stop after them.
        """
        stop = tf.cast(stop, tf.float32)
        steps, waited = tf.constant(0), tf.constant(0.0, tf.float64)
        stops, faults = tf.constant(0.0), tf.zeros(len(self.quantities))
        norm = tf.constant(0.0)
        for _ in tf.range(num_steps):
            batch, seconds = self._timed_next(iterator)
            sums = self._step(batch, stop)
            sound = tf.reduce_sum(faults) < 1
            steps += tf.cast(sound, tf.int32)
            faults = tf.where(sound, sums[3:], faults)
            loss, stops, norm = loss + sums[0], sums[1], sums[2]
            waited += seconds
        return StepResult(steps, loss, norm, waited, faults, stops > 0)

    def _step(self, batch: Tensors, stop: tf.Tensor) -> tf.Tensor:
        """Returns loss, `stop`, norm and faults, summed over all replicas.

        They are one vector, and so one reduction.
        """
        replicas = self._strategy.num_replicas_in_sync

        def step_with(number: int) -> tf.Tensor:
            def step(batch: Tensors) -> tf.Tensor:
                loss, norm, faults = self._replica_step(batch, number)
                return tf.concat([[loss, stop, norm / replicas], faults], 0)

            return self._strategy.reduce(
                tf.distribute.ReduceOp.SUM,
                self._strategy.run(step, args=(batch,)),
                axis=None,
            )

        count = len(self._networks)
        if count == 1:
            return step_with(0)
        drawn = tf.random.stateless_uniform(
            (), (self._seed, self._optimizer.steps), 0, count, tf.int32
        )
        branches = [functools.partial(step_with, i) for i in range(count)]
        return tf.switch_case(drawn, branches)

    def replica_step(
        self, batch: Tensors, number: int = 0
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Takes one step inside a replica: the program that a device compiles.

        Args:
            batch: As `PhotoPipeline.tuples` yields it.
            number: Position of the network.

        Returns:
            The replica's share of the loss, the norm of the gradients of all
            replicas, and its (quantities,) float32 faults, as in `StepResult`.
        """
        of_batch = self._differentiate if self._parts == 1 else self._accumulate
        bad_outputs, loss, *gradients = of_batch(batch, number)
        bad_loss, *bad_gradients = (
            1.0 - tf.cast(tf.reduce_all(tf.math.is_finite(x)), tf.float32)
            for x in (loss, *gradients)
        )
        # Scaled gradients may overflow, until no scale is left to lower.
        counts = tf.cast(self._optimizer.loss_scale <= 1.0, tf.float32)
        faults = [bad_outputs, bad_loss, *(counts * x for x in bad_gradients)]
        norm = self._optimizer.apply(gradients)
        return loss, norm, tf.stack(faults)

    def _differentiate(self, batch: Tensors, number: int) -> list[tf.Tensor]:
        """Returns whether outputs have a fault (1.0), loss and gradients."""
        with tf.GradientTape() as tape:
            outputs = self._networks[number](batch)
            loss = self._loss(outputs, batch)
            scaled = self._optimizer.loss_scale * tf.cast(loss, tf.float32)
        gradients = tape.gradient(
            scaled,
            [each.value for each in self._optimizer.trainable_variables],
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        finite = tf.reduce_all(
            [tf.reduce_all(tf.math.is_finite(x)) for x in outputs.values()]
        )
        bad_outputs = 1.0 - tf.cast(finite, tf.float32)
        return [bad_outputs, tf.cast(loss, tf.float32), *gradients]

    def _accumulate(self, batch: Tensors, number: int) -> list[tf.Tensor]:
        """Returns the sums of what `_differentiate` returns of each part.

        One part after the other: its activations take the memory of one part.
        """
        parts = {
            name: tf.reshape(values, (self._parts, -1, *values.shape[1:]))
            for name, values in batch.items()
        }

        def of_part(part):
            return self._differentiate(
                {name: values[part] for name, values in parts.items()}, number
            )

        variables = self._optimizer.trainable_variables
        zeros = [tf.zeros_like(variable.value) for variable in variables]
        _, sums = tf.while_loop(
            lambda part, sums: part < self._parts,
            lambda part, sums: (
                part + 1,
                [a + b for a, b in zip(sums, of_part(part), strict=True)],
            ),
            (0, [tf.constant(0.0), tf.constant(0.0), *zeros]),
            parallel_iterations=1,
        )
        return sums

    def _timed_next(self, iterator: Iterator) -> tuple[Tensors, tf.Tensor]:
        """Returns the next batch and the seconds until it was available.

        On a CPU the previous step has ended, and these seconds are lost. A
        GPU may still be at work on it, so there they are an upper bound.
        """
        start = self._clock()
        with tf.control_dependencies([start]):
            batch = next(iterator)
        tensors = tf.nest.flatten(batch, expand_composites=True)
        with tf.control_dependencies(tensors):
            return batch, self._clock() - start


def host_clock() -> tf.Tensor:
    """Returns the time in seconds, read by Python.

    Where deterministic kernels are enabled, TensorFlow refuses tf.timestamp().
    """
    seconds = tf.numpy_function(lambda: np.float64(time.time()), [], tf.float64)
    return tf.ensure_shape(seconds, ())

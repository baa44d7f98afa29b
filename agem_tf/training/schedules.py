"""Learning rates per step: Keras' schedules, scaled and warmed up."""

import keras
import tensorflow as tf

from agem_tf.config import OptimizerConfig
from agem_tf.errors import UserError

_KERAS_SCHEDULES = {
    "constant": keras.optimizers.schedules.PiecewiseConstantDecay,
    "cosine": keras.optimizers.schedules.CosineDecay,
    "exponential": keras.optimizers.schedules.ExponentialDecay,
    "piecewise": keras.optimizers.schedules.PiecewiseConstantDecay,
    "polynomial": keras.optimizers.schedules.PolynomialDecay,
}


class WarmedUpSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """A factor per step times a base rate, after a linear warm-up.

    `rate(step) = base * min((step + 1) / (warmup_steps + 1), 1)
    * factor(max(step - warmup_steps, 0))`

    Args:
        base: Learning rate where both factors are 1.
        factor: Schedule of the factor, counted from the end of the warm-up.
        warmup_steps: Steps before the full rate.
    """

    def __init__(
        self,
        base: float,
        factor: keras.optimizers.schedules.LearningRateSchedule,
        warmup_steps: int = 0,
    ):
        self.base, self.factor, self.warmup_steps = base, factor, warmup_steps

    def __call__(self, step: tf.Tensor | int) -> tf.Tensor:
        step = tf.cast(step, tf.float32)
        warm = tf.minimum((step + 1.0) / (self.warmup_steps + 1.0), 1.0)
        rest = tf.maximum(step - float(self.warmup_steps), 0.0)
        return self.base * warm * self.factor(rest)

    def scaled(self, scale: float) -> "WarmedUpSchedule":
        """Returns the same schedule with another base rate."""
        return WarmedUpSchedule(
            scale * self.base, self.factor, self.warmup_steps
        )

    def get_config(self) -> dict[str, object]:
        return {
            "base": self.base,
            "factor": self.factor,
            "warmup_steps": self.warmup_steps,
        }


def create_schedule(
    config: OptimizerConfig, total_steps: int
) -> WarmedUpSchedule | None:
    """Returns the recipe's schedule per step; None if it has one per epoch.

    Args:
        config: Learning rate, schedule and warm-up.
        total_steps: Steps of the whole training, over which the schedule
            decays unless `schedule_options` has `decay_steps`.

    Raises:
        UserError: The schedule does not take its options.
    """
    if config.schedule == "epochs":
        return None
    options = dict(config.schedule_options)
    if config.schedule == "constant":
        options |= {"boundaries": [0], "values": [1.0, 1.0]}
    elif config.schedule != "piecewise":
        decay_steps = max(1, total_steps - config.warmup_steps)
        options = {
            "initial_learning_rate": 1.0,
            "decay_steps": decay_steps,
        } | options
    try:
        factor = _KERAS_SCHEDULES[config.schedule](**options)
        factor(0)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"optimizer.schedule={config.schedule} can't be built from "
            f"optimizer.schedule_options={config.schedule_options} ({error})."
        ) from error
    return WarmedUpSchedule(config.learning_rate, factor, config.warmup_steps)

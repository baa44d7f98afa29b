"""The compiled training step: several optimizer steps a call, any strategy."""

from collections.abc import Iterator

import keras
import tensorflow as tf

from agem_tf import distribution, registry
from agem_tf.config import Config
from agem_tf.errors import UserError
from agem_tf.extraction import describe
from agem_tf.losses.roles import NEGATIVE, POSITIVE, QUERY
from agem_tf.models import AGeM
from agem_tf.training.optimizer import RuleOptimizer


def make_loss(config: Config) -> keras.losses.Loss:
    """The recipe's loss, summed over tuples as in the published training.

    Raises:
        UserError: the loss does not take the recipe's options.
    """
    try:
        return registry.create(
            "loss", config.loss.name, reduction="sum", **config.loss.options
        )
    except (TypeError, ValueError) as error:
        raise UserError(f"The recipe's loss can't be built: {error}") from error


def roles(num_tuples: int, num_negatives: int) -> tf.Tensor:
    """(tuples, 2 + negatives): -1 query, 1 positive, 0 negative."""
    row = tf.constant([QUERY, POSITIVE] + [NEGATIVE] * num_negatives)
    return tf.tile(row[None], (num_tuples, 1))


class TrainingStep:
    """Runs optimizer steps on batches of tuples.

    Args:
        config: the recipe.
        model: what is trained.
        optimizer: built over the model's variables.
        strategy: the model was created under it.
    """

    def __init__(
        self,
        config: Config,
        model: AGeM,
        optimizer: RuleOptimizer,
        strategy: tf.distribute.Strategy,
    ):
        self._model, self._optimizer = model, optimizer
        self._strategy = strategy
        self._loss = make_loss(config)
        self._padded = config.image.resize != "square"
        self._roles = roles(
            distribution.per_replica(config.training.batch_tuples, strategy),
            config.mining.num_negatives,
        )

    @tf.function
    def run(self, iterator: Iterator, num_steps: tf.Tensor) -> tf.Tensor:
        """Takes `num_steps` steps; returns their losses added up."""
        total = tf.constant(0.0)
        for _ in tf.range(num_steps):
            losses = self._strategy.run(self._step, args=(next(iterator),))
            total += self._strategy.reduce(
                tf.distribute.ReduceOp.SUM, losses, axis=None
            )
        return total

    def _step(self, batch: dict[str, tf.Tensor]) -> tf.Tensor:
        variables = self._optimizer.trainable_variables
        with tf.GradientTape() as tape:
            loss = self._loss(self._roles, self._describe_tuples(batch))
        gradients = tape.gradient(
            loss,
            [variable.value for variable in variables],
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        self._optimizer.apply(gradients)
        return loss

    def _describe_tuples(self, batch: dict[str, tf.Tensor]) -> tf.Tensor:
        images, valid = batch["image"], batch["valid"]
        descriptors = describe(
            self._model,
            tf.reshape(images, (-1, *images.shape[2:])),
            tf.reshape(valid, (-1, 2)) if self._padded else None,
            training=True,
        )
        return tf.reshape(
            descriptors, (*self._roles.shape, descriptors.shape[-1])
        )

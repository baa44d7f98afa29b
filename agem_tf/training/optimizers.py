"""One Adam per optimizer rule, so that p may have a higher learning rate.

Scaling a gradient has no effect under Adam, whose steps do not depend on the
scale of the gradient; a faster variable needs its own learning rate.
"""

import fnmatch
import logging
import math
from collections.abc import Sequence

import keras
import tensorflow as tf

from agem_tf.config import OptimizerConfig, OptimizerRule
from agem_tf.errors import UserError

_LOG = logging.getLogger(__name__)


class RuleOptimizer:
    """Adam with a learning rate and a weight decay per rule.

    The first rule that matches a variable's path applies. Weight decay is the
    gradient of 1/2 * decay * ||w||^2, added before Adam, as in the published
    GeM training.

    Args:
        config: Learning rate, decay and rules.
        variables: The trainable variables.

    Raises:
        UserError: A rule applies to no variable, or no rule covers a variable.
    """

    def __init__(
        self, config: OptimizerConfig, variables: Sequence[keras.Variable]
    ):
        self._config = config
        self._groups = []
        for rule, members in assign_rules(config.rules, variables):
            scale = rule.learning_rate_scale
            _LOG.info(
                "Optimizer rule %s: %d variable(s), %s",
                rule.pattern,
                len(members),
                f"learning rate x {scale:g}" if scale else "frozen",
            )
            if not members or not scale:
                continue
            adam = keras.optimizers.Adam(
                config.learning_rate, epsilon=config.epsilon
            )
            adam.build(members)
            self._groups.append((rule, adam, members))

    @property
    def trainable_variables(self) -> list[keras.Variable]:
        """The variables that are not frozen by a learning rate scale of 0."""
        return [v for _, _, members in self._groups for v in members]

    @property
    def variables(self) -> list[keras.Variable]:
        """Variables of the optimizers, for checkpoints."""
        return [v for _, adam, _ in self._groups for v in adam.variables]

    @property
    def steps(self) -> tf.Tensor:
        """Number of steps taken, as a checkpoint restores it."""
        return tf.convert_to_tensor(self._groups[0][1].iterations.value)

    def start_epoch(self, epoch: int) -> float:
        """Sets the learning rates of a 0-based epoch; returns the base rate.

        The first epoch's rate is already decayed by one step, as published.
        """
        rate = self._config.learning_rate * math.exp(
            -self._config.decay * (epoch + 1)
        )
        for rule, adam, _ in self._groups:
            adam.learning_rate.assign(rate * rule.learning_rate_scale)
        return rate

    def apply(self, gradients: Sequence[tf.Tensor]) -> None:
        """Adds the weight decay and updates the variables, inside a replica.

        Args:
            gradients: Gradients of `trainable_variables`, in order. Keras sums
                them over the replicas, so each adds its share of the decay.
        """
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        remaining = list(gradients)
        for rule, adam, members in self._groups:
            own, remaining = (
                remaining[: len(members)],
                remaining[len(members) :],
            )
            share = rule.weight_decay / replicas
            decayed = [
                gradient + share * tf.cast(variable.value, gradient.dtype)
                for gradient, variable in zip(own, members, strict=True)
            ]
            adam.apply(decayed, members)


def assign_rules(
    rules: Sequence[OptimizerRule], variables: Sequence[keras.Variable]
) -> list[tuple[OptimizerRule, list[keras.Variable]]]:
    """Assigns every variable to the first rule that matches it.

    Raises:
        UserError: A rule applies to no variable, or no rule covers a variable.
    """
    if not variables:
        raise UserError("The network has no trainable variables.")
    members: list[list[keras.Variable]] = [[] for _ in rules]
    for variable in variables:
        members[_first_match(rules, variable)].append(variable)
    for rule, group in zip(rules, members, strict=True):
        if not group and not rule.optional:
            raise UserError(
                f"The optimizer rule {rule.pattern!r} applies to no variable: "
                f"it matches none (the first one is {variables[0].path}), or "
                "earlier rules do. Correct it or set optional=True."
            )
    return list(zip(rules, members, strict=True))


def _first_match(
    rules: Sequence[OptimizerRule], variable: keras.Variable
) -> int:
    for i, rule in enumerate(rules):
        if fnmatch.fnmatchcase(variable.path, rule.pattern):
            return i
    raise UserError(
        f"No optimizer rule covers {variable.path}; end optimizer.rules with "
        "the pattern '*'."
    )

"""One optimizer a rule, so that p may learn faster than the rest.

A factor on a gradient does nothing under Adam, whose steps do not depend on the
gradient's scale; a faster variable needs a learning rate of its own.
"""

import fnmatch
import math
from collections.abc import Sequence

import keras
import tensorflow as tf
from absl import logging

from agem_tf.config import OptimizerConfig, OptimizerRule
from agem_tf.errors import UserError


class RuleOptimizer:
    """Adam with a learning rate and a weight decay for each rule.

    The first rule that matches a variable's path holds. Weight decay is the
    gradient of 1/2 * decay * ||w||^2, added before Adam, as in the published
    GeM training.

    Args:
        config: learning rate, decay and rules.
        variables: the model's trainable variables.

    Raises:
        UserError: a rule holds for nothing, or no rule covers a variable.
    """

    def __init__(
        self, config: OptimizerConfig, variables: Sequence[keras.Variable]
    ):
        self._config = config
        self._groups = []
        for rule, members in assign_rules(config.rules, variables):
            _log(rule, len(members))
            if not members or not rule.learning_rate_scale:
                continue
            adam = keras.optimizers.Adam(
                config.learning_rate, epsilon=config.epsilon
            )
            adam.build(members)
            self._groups.append((rule, adam, members))

    @property
    def trainable_variables(self) -> list[keras.Variable]:
        """The variables that learn; a learning rate scale of 0 freezes."""
        return [v for _, _, members in self._groups for v in members]

    @property
    def variables(self) -> list[keras.Variable]:
        """Everything that a checkpoint must hold."""
        return [v for _, adam, _ in self._groups for v in adam.variables]

    def start_epoch(self, epoch: int) -> float:
        """Sets the learning rates of a 0-based epoch; returns the base rate.

        The first epoch is already decayed by one step, as published.
        """
        rate = self._config.learning_rate * math.exp(
            -self._config.decay * (epoch + 1)
        )
        for rule, adam, _ in self._groups:
            adam.learning_rate.assign(rate * rule.learning_rate_scale)
        return rate

    def apply(self, gradients: Sequence[tf.Tensor]) -> None:
        """Adds the decay and updates, inside a replica.

        Args:
            gradients: of `trainable_variables`, in order; Keras sums them over
                the replicas, so each replica adds its share of the decay.
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
    """Gives every variable its first matching rule.

    Raises:
        UserError: a rule holds for nothing, or no rule covers a variable.
    """
    if not variables:
        raise UserError("The network has no trainable variables.")
    members: list[list[keras.Variable]] = [[] for _ in rules]
    for variable in variables:
        members[_first_match(rules, variable)].append(variable)
    for rule, group in zip(rules, members, strict=True):
        if not group and not rule.optional:
            raise UserError(
                f"The optimizer rule {rule.pattern!r} holds for no variable: "
                f"it matches none, such as {variables[0].path}, or rules "
                "before it do. Correct it or set optional=True."
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


def _log(rule: OptimizerRule, num_variables: int) -> None:
    scale = rule.learning_rate_scale
    effect = f"learning rate x {scale:g}" if scale else "frozen"
    logging.info(
        "Optimizer rule %s: %d variable(s), %s",
        rule.pattern,
        num_variables,
        effect,
    )

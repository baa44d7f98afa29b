"""One optimizer per rule, so that p may have a higher learning rate.

Scaling a gradient has no effect under Adam, whose steps do not depend on the
scale of the gradient; a faster variable needs its own learning rate.
"""

import contextlib
import fnmatch
import logging
import math
from collections.abc import Collection, Iterator, Mapping, Sequence

import keras
import tensorflow as tf

from agem_tf.config import OptimizerConfig, OptimizerRule
from agem_tf.errors import UserError
from agem_tf.training.schedules import create_schedule

_LOG = logging.getLogger(__name__)


class RuleOptimizer:
    """An optimizer of Keras with a learning rate and a weight decay per rule.

    The first rule that matches a variable's path applies. Weight decay is the
    gradient of 1/2 * decay * ||w||^2, added after clipping and before Adam, as
    in the published GeM training; that of AdamW is decoupled.

    Args:
        config: Learning rate, schedule, clipping, average and rules.
        variables: The trainable variables.
        steps_per_epoch, epochs: Length of the training, for schedules per step.
        stages: Paths of the variables up to each feature map, for rules with
            `up_to`; see `AGeM.stage_variables`.
        measures_norm: Whether `apply` returns the norm of the gradients, which
            several replicas sum for it.
        scales_loss: Whether `loss_scale` follows the gradients, for float16.

    Raises:
        UserError: A rule applies to no variable or names a feature map that
            the network does not have, no rule covers a variable, or the
            schedule does not take its options.
    """

    def __init__(
        self,
        config: OptimizerConfig,
        variables: Sequence[keras.Variable],
        steps_per_epoch: int = 1,
        epochs: int = 1,
        stages: Mapping[str, Collection[str]] | None = None,
        measures_norm: bool = False,
        scales_loss: bool = False,
    ):
        self._config, self._steps_per_epoch = config, steps_per_epoch
        self._measures_norm = measures_norm
        self._schedule = create_schedule(config, steps_per_epoch * epochs)
        self._groups = []
        for rule, members in assign_rules(
            config.rules, variables, stages or {}
        ):
            scale = rule.learning_rate_scale
            _LOG.info(
                "Optimizer rule %s: %d variable(s), %s",
                rule,
                len(members),
                f"learning rate x {scale:g}" if scale else "frozen",
            )
            if not members or not scale:
                continue
            rate = config.learning_rate
            if self._schedule:
                rate = self._schedule.scaled(scale)
            optimizer = _create(rule, config, rate)
            optimizer.build(members)
            self._groups.append((rule, optimizer, members))
        self._scaler = None
        if scales_loss:
            self._scaler = keras.optimizers.LossScaleOptimizer(
                _UnscaledUpdate(self._update_by_sum)
            )
            self._scaler.build(self.trainable_variables)

    @property
    def trainable_variables(self) -> list[keras.Variable]:
        """The variables that are not frozen by a learning rate scale of 0."""
        return [v for _, _, members in self._groups for v in members]

    @property
    def variables(self) -> list[keras.Variable]:
        """Variables of the optimizers, for checkpoints."""
        scaling = self._scaler.variables if self._scaler else []
        of_groups = [v for _, each, _ in self._groups for v in each.variables]
        return [*of_groups, *scaling]

    @property
    def loss_scale(self) -> tf.Tensor:
        """Scalar float32 factor on the loss, and so on its gradients."""
        if self._scaler is None:
            return tf.constant(1.0)
        return tf.convert_to_tensor(self._scaler.dynamic_scale.value)

    @property
    def steps(self) -> tf.Tensor:
        """Number of steps taken, as a checkpoint restores it."""
        return tf.convert_to_tensor(self._groups[0][1].iterations.value)

    def start_epoch(self, epoch: int) -> float:
        """Sets the learning rates of a 0-based epoch; returns the base rate.

        By epoch, the first rate is already decayed once, as published. With a
        schedule per step, the returned rate is that of the epoch's last step.
        """
        if self._schedule:
            last = (epoch + 1) * self._steps_per_epoch - 1
            return float(self._schedule(last))
        rate = self._config.learning_rate * math.exp(
            -self._config.decay * (epoch + 1)
        )
        for rule, optimizer, _ in self._groups:
            optimizer.learning_rate.assign(rate * rule.learning_rate_scale)
        return rate

    def rate_of_last_step(self) -> float:
        """Returns the base learning rate of the step that was taken last."""
        if self._schedule:
            # None was taken yet if the first gradients overflowed.
            return float(self._schedule(tf.maximum(self.steps - 1, 0)))
        rule, optimizer, _ = self._groups[0]
        return float(optimizer.learning_rate.numpy()) / rule.learning_rate_scale

    def apply(self, gradients: Sequence[tf.Tensor]) -> tf.Tensor:
        """Adds the weight decay and updates the variables, inside a replica.

        With a loss scale, gradients that are not finite change nothing but the
        scale.

        Args:
            gradients: Gradients of `trainable_variables`, in order, of the loss
                times `loss_scale`. Keras sums them over the replicas, so each
                adds its share of the decay.

        Returns:
            Scalar float32, the global norm of the sum of the gradients over
            the replicas, before clipping; 0 if it is not needed.
        """
        clips, scaler = self._config.clip_norm > 0, self._scaler
        if not (clips or scaler or self._measures_norm):
            self._update(gradients)
            return tf.constant(0.0)
        summed = list(gradients)
        if tf.distribute.get_strategy().num_replicas_in_sync > 1:
            summed = tf.distribute.get_replica_context().all_reduce(
                tf.distribute.ReduceOp.SUM, summed
            )
        norm = tf.cast(tf.linalg.global_norm(summed), tf.float32)
        if scaler:
            norm /= self.loss_scale
            scaler.apply(summed, self.trainable_variables)
        elif clips:
            self._update_by_sum(summed)
        else:
            self._update(gradients)
        return norm

    def _update_by_sum(self, gradients: Sequence[tf.Tensor]) -> None:
        """Clips the sum over the replicas, and applies this one's share."""
        if self._config.clip_norm:
            gradients, _ = tf.clip_by_global_norm(
                gradients, self._config.clip_norm
            )
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        self._update([gradient / replicas for gradient in gradients])

    def _update(self, gradients: Sequence[tf.Tensor]) -> None:
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        remaining = list(gradients)
        for rule, optimizer, members in self._groups:
            own, remaining = (
                remaining[: len(members)],
                remaining[len(members) :],
            )
            if rule.optimizer == "adamw":  # Decays the weights itself.
                optimizer.apply(own, members)
                continue
            share = rule.weight_decay / replicas
            decayed = [
                gradient + share * tf.cast(variable.value, gradient.dtype)
                for gradient, variable in zip(own, members, strict=True)
            ]
            optimizer.apply(decayed, members)

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """Replaces the variables by their averages for a block of code.

        Without `OptimizerConfig.average`, and before the first step, nothing
        is replaced.
        """
        groups = []
        if self._config.average:
            groups = [
                (optimizer, members)
                for _, optimizer, members in self._groups
                if optimizer.iterations.numpy()
            ]
        kept = [[v.numpy() for v in members] for _, members in groups]
        for optimizer, members in groups:
            optimizer.finalize_variable_values(members)
        try:
            yield
        finally:
            for (_, members), values in zip(groups, kept, strict=True):
                for variable, value in zip(members, values, strict=True):
                    variable.assign(value)


class _UnscaledUpdate:
    """What Keras' LossScaleOptimizer takes as the optimizer inside it.

    One scale for the gradients of all rules, whose optimizers are several.
    """

    def __init__(self, update):
        self._update, self.variables = update, []

    def build(self, variables):
        del variables  # The optimizers are built.

    def apply(self, gradients, trainable_variables=None):
        del trainable_variables  # Those of all rules, in order.
        self._update(gradients)


def _create(
    rule: OptimizerRule,
    config: OptimizerConfig,
    rate: float | keras.optimizers.schedules.LearningRateSchedule,
) -> keras.optimizers.Optimizer:
    average = {
        "use_ema": bool(config.average),
        "ema_momentum": config.average,
    }
    if rule.optimizer == "sgd":
        return keras.optimizers.SGD(rate, momentum=rule.momentum, **average)
    adam = {"epsilon": config.epsilon} | average
    if rule.optimizer == "adamw":
        return keras.optimizers.AdamW(
            rate, weight_decay=rule.weight_decay, **adam
        )
    return keras.optimizers.Adam(rate, **adam)


def assign_rules(
    rules: Sequence[OptimizerRule],
    variables: Sequence[keras.Variable],
    stages: Mapping[str, Collection[str]],
) -> list[tuple[OptimizerRule, list[keras.Variable]]]:
    """Assigns every variable to the first rule that matches it.

    Args:
        rules: The rules, in order.
        variables: The variables.
        stages: Paths of the variables up to each feature map.

    Raises:
        UserError: A rule applies to no variable or names a feature map that
            the network does not have, or no rule covers a variable.
    """
    if not variables:
        raise UserError("The network has no trainable variables.")
    for rule in rules:
        if rule.up_to and rule.up_to not in stages:
            raise UserError(
                f"The optimizer rule {rule} needs feature map {rule.up_to}, "
                f"and the network has {', '.join(stages) or 'none'}; correct "
                "its up_to in optimizer.rules."
            )
    members: list[list[keras.Variable]] = [[] for _ in rules]
    for variable in variables:
        members[_first_match(rules, variable, stages)].append(variable)
    for rule, group in zip(rules, members, strict=True):
        if not group and not rule.optional:
            raise UserError(
                f"The optimizer rule {rule} applies to no variable: "
                f"it matches none (the first one is {variables[0].path}), or "
                "earlier rules do. Correct it or set optional=True."
            )
    return list(zip(rules, members, strict=True))


def _first_match(
    rules: Sequence[OptimizerRule],
    variable: keras.Variable,
    stages: Mapping[str, Collection[str]],
) -> int:
    for i, rule in enumerate(rules):
        in_stage = not rule.up_to or variable.path in stages[rule.up_to]
        if in_stage and fnmatch.fnmatchcase(variable.path, rule.pattern):
            return i
    raise UserError(
        f"No optimizer rule covers {variable.path}; end optimizer.rules with "
        "the pattern '*'."
    )

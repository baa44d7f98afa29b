"""The fields of a recipe on learning: rules per variable, rates over time."""

import dataclasses
from typing import Any

from agem_tf.option_fields import option, required

FEATURE_MAPS = ("C2", "C3", "C4", "C5")
OPTIMIZERS = ("adam", "adamw", "sgd")
SCHEDULES = (
    "epochs",
    "constant",
    "cosine",
    "exponential",
    "piecewise",
    "polynomial",
)


@dataclasses.dataclass(slots=True)
class OptimizerRule:
    """Settings for the variables whose path matches a pattern."""

    pattern: str = required(
        "Glob pattern of the whole variable path; '*' also matches '/'."
    )
    learning_rate_scale: float = option(
        1.0, "Factor on the learning rate; 0 freezes the variable.", minimum=0
    )
    weight_decay: float = option(
        0.0,
        "L2 coefficient added to the gradient, as in the published recipes; "
        "with adamw, the decoupled decay: each step subtracts decay * learning "
        "rate * weight.",
        minimum=0,
    )
    optional: bool = option(False, "Whether the pattern may match no variable.")
    optimizer: str = option(
        "adam", "Optimizer of these variables.", choices=OPTIMIZERS
    )
    momentum: float = option(0.9, "Momentum of sgd.", minimum=0, maximum=1)
    up_to: str | None = option(
        None,
        "Feature map, on any backbone: the rule applies only to the layers "
        "that compute it, without attention. None: to all layers.",
        choices=FEATURE_MAPS,
    )

    def __str__(self):
        """Returns how messages call the rule."""
        where = f" up to {self.up_to}" if self.up_to else ""
        return f"{self.pattern!r}{where}"


def default_rules() -> list[OptimizerRule]:
    """Returns GeM's rule for p and a rule that freezes the early stages.

    p learns ten times faster and without weight decay. Freezing an
    EfficientNet up to stride 8 saves a third of the time; its ImageNet edges
    and textures need no training.
    """
    return [
        OptimizerRule("pooling*/p", 10.0, 0.0, optional=True),
        OptimizerRule("*", 0.0, up_to="C3"),
        OptimizerRule("*", 1.0, 1e-6),
    ]


def earlier_default_rules() -> list[OptimizerRule]:
    """Returns the defaults of earlier versions, which older runs resume with.

    They name the layers of EfficientNets and freeze nothing elsewhere.
    """
    first, _, last = default_rules()
    return [
        first,
        OptimizerRule("stem*", 0.0, optional=True),
        OptimizerRule("block[123][a-z]_*", 0.0, optional=True),
        last,
    ]


@dataclasses.dataclass(slots=True)
class OptimizerConfig:
    """Learning rates over time, clipping, and the average of the weights."""

    learning_rate: float = option(
        2e-4, "Learning rate before the first epoch.", above=0
    )
    decay: float = option(
        0.01,
        "With the schedule epochs, each epoch multiplies the learning rate by "
        "exp(-decay).",
        minimum=0,
    )
    rules: list[OptimizerRule] = option(
        factory=default_rules,
        help="Settings per variable; the first rule that matches applies.",
    )
    epsilon: float = option(
        1e-7, "Adam's epsilon; 1e-8 in the published training.", above=0
    )
    schedule: str = option(
        "epochs",
        "How the learning rate changes: per epoch, as published, or per step "
        "by a schedule of Keras. cosine, exponential and polynomial last as "
        "long as the training, unless schedule_options has decay_steps.",
        choices=SCHEDULES,
    )
    schedule_options: dict[str, Any] = option(
        factory=dict,
        help="Keyword arguments of Keras' schedule, as factors of the learning "
        "rate: {'alpha': 0.1} for cosine, {'boundaries': [400], 'values': "
        "[1.0, 0.1]} for piecewise.",
    )
    warmup_steps: int = option(
        0,
        "Steps over which the learning rate rises linearly from 0, before the "
        "schedule starts.",
        minimum=0,
    )
    clip_norm: float = option(
        0.0,
        "Largest global norm of the gradients of the loss, over all variables "
        "and replicas; 0: no limit.",
        minimum=0,
    )
    average: float = option(
        0.0,
        "Momentum of the exponential moving average of the weights, which is "
        "validated and exported in place of the weights themselves, such as "
        "0.99; 0: no average.",
        minimum=0,
        maximum=0.99999,
    )

    @property
    def lasts_the_training(self) -> bool:
        """Whether the learning rates depend on the number of epochs."""
        return (
            self.schedule in ("cosine", "exponential", "polynomial")
            and "decay_steps" not in self.schedule_options
        )


def default_optimizer() -> OptimizerConfig:
    """Returns the quickstart's optimizer.

    Few small steps that end in a cosine, and the average of the weights: the
    network stays near its ImageNet weights, which were trained on real photos,
    and the score depends little on the seed.
    """
    return OptimizerConfig(
        learning_rate=3e-5, schedule="cosine", warmup_steps=35, average=0.99
    )

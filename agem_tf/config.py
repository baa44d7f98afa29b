"""Recipes: every setting of a training run as nested plain dataclasses.

The defaults are the quickstart, so a recipe states only what differs from it.
Nothing here imports TensorFlow: a recipe is checked before anything slow runs.
The dataclasses have slots, so that a misspelt field of a recipe is an error.
"""

import dataclasses
import math
import typing
from collections.abc import Iterator, Sequence
from typing import Any

from agem_tf import registry
from agem_tf.errors import UserError

ATTENTIONS = ("cbam", "agem", "none")
BATCH_NORMS = ("frozen_statistics", "frozen", "trainable")
INTERPOLATIONS = ("bilinear", "bicubic", "lanczos3")
MERGES = ("residual", "add", "mul")
PLACEMENTS = ("C2", "C3", "C4", "C5", "blocks")
PRECISIONS = ("float32", "mixed_bfloat16")
RESIZES = ("square", "aspect")
SELECTIONS = ("validation_loss", "validation_map")
STRATEGIES = ("auto", "one", "mirrored", "multiworker", "tpu")
WHITENINGS = ("learned", "pca", "none")

_STAND_INS = {float: int, tuple: list}


@dataclasses.dataclass(slots=True)
class DataConfig:
    """Where the photos come from.

    Attributes:
        dataset: name of a dataset builder.
        directory: the prepared dataset; empty means `data` in the workdir.
        source: what the builder reads (a folder or a CSV); empty if it needs
            nothing.
        options: keyword arguments of the builder.
        train_split, validation_split, test_split: names of splits, or several
            joined by "+". An empty test split is skipped; training needs the
            other two, a learned whitening the first.
    """

    dataset: str = "synthetic_landmarks"
    directory: str = ""
    source: str = ""
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    train_split: str = "train"
    validation_split: str = "validation"
    test_split: str = "test"


@dataclasses.dataclass(slots=True)
class ImageConfig:
    """How a photo becomes the network's input.

    Attributes:
        size: pixels of the longer side.
        resize: "square" stretches every photo to size x size; "aspect" keeps
            its proportions.
        enlarge: whether a smaller photo is scaled up under "aspect" (the GeM
            reference never does).
        interpolation: of the resampling; Pillow's filter of that name. The GeM
            reference takes "lanczos3".
    """

    size: int = 128
    resize: str = "square"
    enlarge: bool = False
    interpolation: str = "bicubic"


@dataclasses.dataclass(slots=True)
class ModelConfig:
    """The network; the fields are the arguments of `models.AGeM`."""

    backbone: str = "efficientnet_lite0"
    weights: str | None = "imagenet"
    feature_map: str = "C5"
    attention: str = "cbam"
    attention_placement: tuple[str, ...] = ("C5",)
    attention_merge: str = "residual"
    attention_bias: float = 4.0
    pooling: str = "gem"
    pooling_options: dict[str, Any] = dataclasses.field(default_factory=dict)
    regional: bool = False
    whitening_dimension: int = 0
    batch_norm: str = "frozen_statistics"
    preprocessing: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(slots=True)
class LossConfig:
    """The loss and its keyword arguments.

    Attributes:
        name: "contrastive" and "triplet" compare the photos of one tuple;
            "batch_hard_triplet" compares all photos of a step, those of all
            replicas, and takes the photos of a landmark as positives of each
            other.
        options: of the loss.
    """

    name: str = "contrastive"
    options: dict[str, Any] = dataclasses.field(default_factory=dict)


def default_loss() -> LossConfig:
    """The quickstart's loss; the margin is that of GeM's published ResNets."""
    return LossConfig("contrastive", {"margin": 0.85})


@dataclasses.dataclass(slots=True)
class MiningConfig:
    """The tuples of an epoch: queries, positives and mined hard negatives.

    Attributes:
        num_queries: (query, positive) pairs an epoch, at most; the paper of
            GeM takes 2000.
        pool_size: images that negatives are mined from, at most; 20000 there.
            A pool much smaller than the split keeps the negatives from being
            the very hardest, under which few photos and a high learning rate
            collapse.
        num_negatives: negatives a tuple; 5 there.
    """

    num_queries: int = 280
    pool_size: int = 100
    num_negatives: int = 2


@dataclasses.dataclass(slots=True)
class OptimizerRule:
    """Settings of the variables whose path matches `pattern` (a glob).

    Attributes:
        pattern: matched against the whole variable path, "*" spans "/".
        learning_rate_scale: factor on the recipe's learning rate; 0 freezes.
        weight_decay: L2 coefficient added to the gradient, as in the published
            recipes (not the decoupled decay of AdamW).
        optional: whether the rule may hold for no variable.
    """

    pattern: str
    learning_rate_scale: float = 1.0
    weight_decay: float = 0.0
    optional: bool = False


def default_rules() -> list[OptimizerRule]:
    """GeM's rule for p, ten times faster and without decay; early stages rest.

    Edges and textures learned from ImageNet serve as they are: freezing the
    stages up to stride 8 of an EfficientNet saves a third of the time.
    """
    return [
        OptimizerRule("pooling*/p", 10.0, 0.0, optional=True),
        OptimizerRule("stem*", 0.0, optional=True),
        OptimizerRule("block[123][a-z]_*", 0.0, optional=True),
        OptimizerRule("*", 1.0, 1e-6),
    ]


@dataclasses.dataclass(slots=True)
class OptimizerConfig:
    """Adam with a learning rate that decays exponentially by epoch."""

    learning_rate: float = 2e-4
    decay: float = 0.01
    rules: list[OptimizerRule] = dataclasses.field(
        default_factory=default_rules
    )


@dataclasses.dataclass(slots=True)
class TrainingConfig:
    """The loop.

    Attributes:
        epochs: passes over freshly mined tuples; 0 only evaluates.
        batch_tuples: tuples a step over all replicas together.
        steps_per_call: steps a call of the compiled function.
        checkpoint_steps: steps between checkpoints inside an epoch; 0 saves at
            the end of an epoch only.
        keep_checkpoints: newest checkpoints kept; the last but one serves if
            the last turns out to be damaged.
        select_best: what decides which epoch is the best one; the GeM
            reference takes the lowest validation loss.
        precision: Keras dtype policy of the layers.
        seed: every random choice is a function of it.
    """

    epochs: int = 5
    batch_tuples: int = 8
    steps_per_call: int = 5
    checkpoint_steps: int = 0
    keep_checkpoints: int = 2
    select_best: str = "validation_map"
    precision: str = "float32"
    seed: int = 0


@dataclasses.dataclass(slots=True)
class ExtractionConfig:
    """How descriptors are extracted for mining, validation and tests.

    Attributes:
        scales: factors on the resized photo; several are merged.
        batch_size: photos a step over all replicas together.
        whitening: "learned" or "pca" learns one from the training split after
            training, and exports it with the model; "none" does not.
        whitening_shrinkage: 0 as published, up to 1; for learned whitening from
            few photos, see `whitening.learn_whitening`.
    """

    scales: tuple[float, ...] = (1.0,)
    batch_size: int = 16
    whitening: str = "none"
    whitening_shrinkage: float = 0.0


@dataclasses.dataclass(slots=True)
class Config:
    """A whole recipe."""

    name: str = "quickstart"
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    image: ImageConfig = dataclasses.field(default_factory=ImageConfig)
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    loss: LossConfig = dataclasses.field(default_factory=default_loss)
    mining: MiningConfig = dataclasses.field(default_factory=MiningConfig)
    optimizer: OptimizerConfig = dataclasses.field(
        default_factory=OptimizerConfig
    )
    training: TrainingConfig = dataclasses.field(default_factory=TrainingConfig)
    extraction: ExtractionConfig = dataclasses.field(
        default_factory=ExtractionConfig
    )


def validate(config: Config) -> Config:
    """Checks every field and reports all faults at once.

    Raises:
        UserError: one sentence a fault, joined.
    """
    faults = list(_faults(config))
    if faults:
        raise UserError("Recipe: " + "; ".join(faults) + ".")
    return config


def type_faults(value: Any, hint: Any, path: str = "") -> Iterator[str]:
    """Yields a phrase for each value that does not fit its annotation.

    Integers serve as floats and lists as tuples; floats must be finite.

    Args:
        value: a recipe, or a value of one of its fields.
        hint: its annotation.
        path: what to call it, such as "image.size".
    """
    if type(None) in typing.get_args(hint):
        if value is None:
            return
        hint = typing.get_args(hint)[0]
    kind = typing.get_origin(hint) or hint
    name = path or "the recipe"
    # Exact types: True would pass for an integer, a NumPy number isn't JSON.
    if type(value) not in (kind, _STAND_INS.get(kind)):
        yield f"{name} must be of type {kind.__name__}, not {value!r}"
    elif kind is float and not math.isfinite(value):
        yield f"{name} must be finite, not {value}"
    elif kind is dict and not all(isinstance(key, str) for key in value):
        yield f"{name} must have names as keys, not {list(value)}"
    else:
        yield from _member_faults(value, hint, path)


def _member_faults(value: Any, hint: Any, path: str) -> Iterator[str]:
    if dataclasses.is_dataclass(hint):
        for name, member_hint in typing.get_type_hints(hint).items():
            member_path = f"{path}.{name}".strip(".")
            yield from type_faults(
                getattr(value, name), member_hint, member_path
            )
    elif typing.get_origin(hint) in (tuple, list):
        item_hint = typing.get_args(hint)[0]
        for i, item in enumerate(value):
            yield from type_faults(item, item_hint, f"{path}[{i}]")


def _faults(config: Config) -> Iterator[str]:
    wrong_types = list(type_faults(config, Config))
    if wrong_types:
        yield from wrong_types
        return
    yield from _unknown_names(config)
    yield from _impossible_numbers(config)
    yield from _impossible_combinations(config)


def _unknown_names(config: Config) -> Iterator[str]:
    for field, value, known in (
        ("data.dataset", config.data.dataset, registry.names("dataset")),
        ("extraction.whitening", config.extraction.whitening, WHITENINGS),
        ("image.interpolation", config.image.interpolation, INTERPOLATIONS),
        ("image.resize", config.image.resize, RESIZES),
        ("loss.name", config.loss.name, registry.names("loss")),
        ("model.attention", config.model.attention, ATTENTIONS),
        ("model.attention_merge", config.model.attention_merge, MERGES),
        ("model.backbone", config.model.backbone, registry.names("backbone")),
        ("model.batch_norm", config.model.batch_norm, BATCH_NORMS),
        ("model.feature_map", config.model.feature_map, PLACEMENTS[:-1]),
        ("model.pooling", config.model.pooling, registry.names("pooling")),
        ("training.precision", config.training.precision, PRECISIONS),
        ("training.select_best", config.training.select_best, SELECTIONS),
        *(
            ("model.attention_placement", name, PLACEMENTS)
            for name in config.model.attention_placement
        ),
    ):
        if value not in known:
            yield f"unknown {field} {value!r}, known are {', '.join(known)}"


def _impossible_numbers(config: Config) -> Iterator[str]:
    for field, value, least in (
        ("extraction.batch_size", config.extraction.batch_size, 1),
        ("image.size", config.image.size, 32),
        ("mining.num_negatives", config.mining.num_negatives, 1),
        ("mining.num_queries", config.mining.num_queries, 1),
        ("mining.pool_size", config.mining.pool_size, 1),
        ("model.whitening_dimension", config.model.whitening_dimension, 0),
        ("optimizer.decay", config.optimizer.decay, 0),
        ("training.batch_tuples", config.training.batch_tuples, 1),
        ("training.checkpoint_steps", config.training.checkpoint_steps, 0),
        ("training.epochs", config.training.epochs, 0),
        ("training.keep_checkpoints", config.training.keep_checkpoints, 2),
        ("training.seed", config.training.seed, 0),
        ("training.steps_per_call", config.training.steps_per_call, 1),
        *_rule_numbers(config.optimizer.rules),
    ):
        if value < least:
            yield f"{field} must be at least {least}, not {value}"
    if config.optimizer.learning_rate <= 0:
        yield (
            "optimizer.learning_rate must be positive, not "
            f"{config.optimizer.learning_rate}"
        )
    shrinkage = config.extraction.whitening_shrinkage
    if not 0 <= shrinkage <= 1:
        yield (
            "extraction.whitening_shrinkage must lie in [0, 1], not "
            f"{shrinkage}"
        )
    scales = config.extraction.scales
    if not scales or not all(0 < scale <= 4 for scale in scales):
        yield f"extraction.scales must lie in (0, 4], not {scales}"


def _rule_numbers(
    rules: Sequence[OptimizerRule],
) -> Iterator[tuple[str, float, int]]:
    for i, rule in enumerate(rules):
        path = f"optimizer.rules[{i}]"
        yield f"{path}.learning_rate_scale", rule.learning_rate_scale, 0
        yield f"{path}.weight_decay", rule.weight_decay, 0


def _impossible_combinations(config: Config) -> Iterator[str]:
    yield from _missing_splits(config)
    yield from _idle_shrinkage(config)
    model = config.model
    if not config.optimizer.rules:
        yield "optimizer.rules is empty, end it with the pattern '*'"
    if model.attention == "cbam" and not model.attention_placement:
        yield "model.attention cbam needs a model.attention_placement"
    if (
        len(model.attention_placement) > 1
        and "blocks" in model.attention_placement
    ):
        yield "model.attention_placement is either ('blocks',) or map names"
    if model.attention == "agem" and not model.backbone.startswith("resnet"):
        yield (
            "model.attention agem sits on conv5 of a ResNet, not on "
            f"{model.backbone}; take cbam"
        )
    if config.image.resize == "aspect" and model.batch_norm == "trainable":
        yield (
            "image.resize aspect runs photo by photo, so batch statistics "
            "would be of one photo; take batch_norm frozen_statistics"
        )


def _idle_shrinkage(config: Config) -> Iterator[str]:
    extraction = config.extraction
    if extraction.whitening_shrinkage and extraction.whitening != "learned":
        yield (
            "extraction.whitening_shrinkage needs extraction.whitening learned"
        )


def _missing_splits(config: Config) -> Iterator[str]:
    data, whitening = config.data, config.extraction.whitening
    if not data.train_split and config.training.epochs:
        yield "data.train_split is empty but training.epochs is not 0"
    if not data.train_split and whitening != "none":
        yield (
            f"data.train_split is empty, extraction.whitening {whitening} "
            "learns from it; take none"
        )
    if not data.train_split and not data.test_split:
        yield "data.test_split and data.train_split are empty, name one"
    if not data.validation_split and config.training.epochs:
        yield "data.validation_split is empty, the best epoch needs one"

"""What a recipe may not say, found before anything slow runs."""

import dataclasses
import math
import typing
from collections.abc import Iterator, Sequence
from typing import Any

from agem_tf import registry
from agem_tf.config.recipe import (
    ATTENTIONS,
    BATCH_NORMS,
    CANVAS_MULTIPLE,
    INTERPOLATIONS,
    MERGES,
    PLACEMENTS,
    PRECISIONS,
    RESIZES,
    SELECTIONS,
    WHITENINGS,
    Config,
    MiningConfig,
    OptimizerRule,
)
from agem_tf.errors import UserError

_STAND_INS = {float: int, tuple: list}


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
    epsilon = config.optimizer.epsilon
    if epsilon <= 0:
        yield f"optimizer.epsilon must be positive, not {epsilon}"
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
    yield from _unfit_buckets(config)
    if config.loss.classifies:
        yield from _what_classes_lack(config)
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


def _unfit_buckets(config: Config) -> Iterator[str]:
    image, model = config.image, config.model
    if not image.buckets:
        return
    if image.resize != "aspect":
        yield f"image.buckets needs image.resize aspect, not {image.resize}"
    for bucket in image.buckets:
        if len(bucket) != 2 or any(
            side < 1 or side % CANVAS_MULTIPLE for side in bucket
        ):
            yield (
                "image.buckets must hold (height, width) in multiples of "
                f"{CANVAS_MULTIPLE}, not {bucket}"
            )
    if not any(min(bucket) >= image.size for bucket in image.buckets):
        side = -(-image.size // CANVAS_MULTIPLE) * CANVAS_MULTIPLE
        yield (
            "image.buckets must hold a square photo of image.size "
            f"{image.size}, add ({side}, {side})"
        )
    if model.pooling in ("rmac", "scda") or model.regional:
        yield (
            "image.buckets pads photos, and pooling by regions or components "
            "needs their own size; take gem, mac, spoc or crow, not regional"
        )


def _idle_shrinkage(config: Config) -> Iterator[str]:
    extraction = config.extraction
    if extraction.whitening_shrinkage and extraction.whitening != "learned":
        yield (
            "extraction.whitening_shrinkage needs extraction.whitening learned"
        )


def _what_classes_lack(config: Config) -> Iterator[str]:
    if config.training.select_best == "validation_loss":
        yield (
            f"training.select_best validation_loss: loss {config.loss.name} "
            "has none, for the landmarks of validation are no classes of "
            "training; take validation_map"
        )
    if config.mining != MiningConfig():
        yield (
            f"mining is set, but loss {config.loss.name} mines nothing; leave "
            "it out (--set mining={})"
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

"""Combinations of a recipe's settings that are refused."""

import dataclasses
from collections.abc import Iterator

from agem_tf.config.evaluation_fields import USES
from agem_tf.config.optimizer_fields import OptimizerConfig, OptimizerRule
from agem_tf.config.photo_fields import (
    CANVAS_MULTIPLE,
    MINIMUM_SIZE,
    ImageConfig,
)
from agem_tf.config.recipe import Config, MiningConfig, ModelConfig


def impossible_combinations(config: Config) -> Iterator[str]:
    """Yields a phrase for each setting that others leave without a sense.

    Args:
        config: A recipe each of whose fields is valid by itself.
    """
    yield from _missing_splits(config)
    yield from _unfit_buckets(config)
    yield from _unfit_schedule(config)
    yield from _ignored_settings(config.optimizer)
    if config.loss.classifies:
        yield from _classification_faults(config)
    elif config.loss.classifier_options:
        yield (
            f"loss.classifier_options are set, and loss {config.loss.name} has "
            "no classifier; leave them out"
        )
    if config.model.pooling == "attentive" and config.training.epochs:
        yield from _attention_faults(config)
    model = config.model
    yield from _whitening_faults(config)
    if not config.extraction.scales:
        yield "extraction.scales is empty, give at least one, as in (1.0,)"
    if model.local_dimension:
        yield from _joint_faults(config)
    else:
        yield from _unused_branch_settings(config)
    if not (config.evaluation.untrained or config.training.epochs):
        yield (
            "evaluation.untrained False leaves training.epochs 0 nothing to "
            "score, leave it out"
        )
    yield from _unfit_benchmarks(config)
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
            f"{model.backbone}; use cbam"
        )
    yield from _step_faults(config)


def _whitening_faults(config: Config) -> Iterator[str]:
    model, extraction = config.model, config.extraction
    if (
        config.training.whitening_start == "random"
        and not model.whitening_dimension
    ):
        yield (
            "training.whitening_start is random, but model.whitening_dimension "
            "is 0, without such a layer; set one or leave it out"
        )
    if model.whitening_dimension and extraction.whitening != "none":
        yield (
            f"model.whitening_dimension {model.whitening_dimension} whitens in "
            f"the network, and extraction.whitening {extraction.whitening} "
            "would whiten its result again; set one of them to 0 or none"
        )
    if extraction.whitening_shrinkage and extraction.whitening != "learned":
        yield (
            "extraction.whitening_shrinkage needs extraction.whitening learned"
        )
    if model.pooling == "attentive" and extraction.whitening != "none":
        yield (
            "extraction.whitening is for global descriptors, and model.pooling "
            "attentive exports local features; set it to none, and reduce them "
            "with agem_tf.whiten"
        )


def _step_faults(config: Config) -> Iterator[str]:
    training, image = config.training, config.image
    if training.accumulate_steps > 1 and (
        field := _field_of_statistics(config)
    ):
        yield (
            "training.accumulate_steps leaves batch statistics the photos of a "
            f"part only; set {field} to frozen_statistics"
        )
    if training.remat and (field := _field_of_statistics(config)):
        yield (
            "training.remat computes layers twice, and batch statistics would "
            f"count photos twice; set {field} to frozen_statistics"
        )
    if training.jit_compile and image.resize != "square" and not image.buckets:
        yield (
            "training.jit_compile compiles a program per shape of a photo; set "
            "image.buckets to a few canvases, or image.resize to square"
        )
    if training.jit_compile and training.deterministic:
        yield (
            "training.jit_compile and training.deterministic exclude each "
            "other, because XLA has no deterministic gradient of max pooling; "
            "set one of them to False"
        )
    if image.resize == "aspect" and config.model.batch_norm == "trainable":
        yield (
            "image.resize aspect runs one photo at a time, too few for batch "
            "statistics; set model.batch_norm to frozen_statistics"
        )


def _unfit_buckets(config: Config) -> Iterator[str]:
    model = config.model
    named = [("image.buckets", config.image)]
    for use in USES:
        own = getattr(config.extraction, use)
        if 0 < own.size < MINIMUM_SIZE:
            yield (
                f"extraction.{use}.size must be 0 or at least {MINIMUM_SIZE}, "
                f"not {own.size}"
            )
        image = dataclasses.replace(
            config.image,
            size=own.size or config.image.size,
            buckets=own.buckets,
        )
        named.append((f"extraction.{use}.buckets", image))
    for name, image in named:
        if image.buckets:
            yield from _faults_of_buckets(name, image, model)


def _faults_of_buckets(
    name: str, image: ImageConfig, model: ModelConfig
) -> Iterator[str]:
    if image.resize != "aspect":
        yield f"{name} needs image.resize aspect, not {image.resize}"
    for bucket in image.buckets:
        if len(bucket) != 2 or any(
            side < 1 or side % CANVAS_MULTIPLE for side in bucket
        ):
            yield (
                f"{name} must hold (height, width) in multiples of "
                f"{CANVAS_MULTIPLE}, not {bucket}"
            )
    if not any(min(bucket) >= image.size for bucket in image.buckets):
        side = -(-image.size // CANVAS_MULTIPLE) * CANVAS_MULTIPLE
        yield (
            f"{name} must hold a square photo of "
            f"{image.size} pixels, add ({side}, {side})"
        )
    if model.regional or model.pooling in (
        "regional_attention",
        "rmac",
        "scda",
    ):
        yield (
            f"{name} pads photos, which pooling by regions or components does "
            "not support; use another model.pooling, such as gem, without "
            "model.regional"
        )


def _unfit_benchmarks(config: Config) -> Iterator[str]:
    titles = [each.title for each in config.evaluation.benchmarks]
    for benchmark in config.evaluation.benchmarks:
        title, whitening = benchmark.title, benchmark.whitening
        unfit = title in ("", ".", "..") or "/" in title
        if unfit or titles.count(title) > 1:
            yield (
                "evaluation.benchmarks need names that differ, without '/'; "
                f"set the name of {benchmark.directory!r}, not {title!r}"
            )
        if whitening != "none" and not config.data.train_split:
            yield (
                f"data.train_split is empty, the whitening {whitening} of "
                f"benchmark {title} learns from it; set it to none"
            )
        if 0 < benchmark.size < MINIMUM_SIZE:
            yield (
                f"the size of benchmark {title} must be 0 or at least "
                f"{MINIMUM_SIZE}, not {benchmark.size}"
            )


def _unfit_schedule(config: Config) -> Iterator[str]:
    optimizer = config.optimizer
    if optimizer.schedule == "epochs" and optimizer.warmup_steps:
        yield (
            "optimizer.warmup_steps needs a schedule per step, such as "
            "optimizer.schedule constant; choose one or set it to 0"
        )
    if optimizer.schedule in ("epochs", "constant"):
        if optimizer.schedule_options:
            yield (
                f"optimizer.schedule {optimizer.schedule} takes no "
                "optimizer.schedule_options"
            )
    elif optimizer.schedule == "piecewise" and set(
        optimizer.schedule_options
    ) != {"boundaries", "values"}:
        yield (
            "optimizer.schedule piecewise needs optimizer.schedule_options "
            "with boundaries and values, as in {'boundaries': [400], "
            "'values': [1.0, 0.1]}"
        )
    if optimizer.average and (field := _field_of_statistics(config)):
        yield (
            "optimizer.average does not average the statistics of "
            f"{field} trainable; take frozen_statistics"
        )


def _ignored_settings(optimizer: OptimizerConfig) -> Iterator[str]:
    """Yields a phrase for each setting that the chosen optimizers ignore."""
    defaults = OptimizerConfig()
    decays = optimizer.decay not in (0, defaults.decay)
    if optimizer.schedule != "epochs" and decays:
        yield (
            "optimizer.decay is for optimizer.schedule epochs, and it is "
            f"{optimizer.schedule}; leave it out"
        )
    trained = [rule for rule in optimizer.rules if rule.learning_rate_scale]
    for rule in optimizer.rules:
        default = OptimizerRule(rule.pattern)
        if rule.optimizer != "sgd" and rule.momentum != default.momentum:
            yield (
                f"momentum of the optimizer rule {rule} is for sgd, and its "
                f"optimizer is {rule.optimizer}; leave it out"
            )
        if not rule.learning_rate_scale and rule.weight_decay:
            yield (
                f"weight_decay of the optimizer rule {rule} does nothing, "
                "because its learning_rate_scale 0 freezes; leave it out"
            )
    if optimizer.epsilon != defaults.epsilon and all(
        rule.optimizer == "sgd" for rule in trained
    ):
        yield "optimizer.epsilon is Adam's, and no rule uses it; leave it out"


def _field_of_statistics(config: Config) -> str | None:
    """Returns the field by which training learns batch statistics, if any."""
    model = config.model
    if not config.training.epochs:
        return None
    if model.batch_norm == "trainable":
        return "model.batch_norm"
    # The attention has its own, unlike the backbone trainable by default.
    attentions = {
        "pooling_options": model.pooling == "attentive",
        "local_options": model.local_dimension,
    }
    for name, is_used in attentions.items():
        kind = getattr(model, name).get("batch_norm", "trainable")
        if is_used and kind == "trainable":
            return f"batch_norm in model.{name}"
    return None


def _classification_faults(config: Config) -> Iterator[str]:
    if config.training.select_best == "validation_loss":
        yield (
            f"training.select_best validation_loss: loss {config.loss.name} "
            "has none, because the landmarks of validation are not among the "
            "classes of training; use validation_map"
        )
    if config.mining != MiningConfig():
        yield (
            f"mining is set, but loss {config.loss.name} mines nothing; leave "
            "it out (--set mining={})"
        )
    own = config.extraction.mining
    if own.size or own.scales or own.buckets:
        yield (
            f"extraction.mining is set, but loss {config.loss.name} mines "
            "nothing; leave it out"
        )


def _attention_faults(config: Config) -> Iterator[str]:
    if config.loss.start_weight:
        yield (
            "loss.start_weight holds L2-normalized descriptors, and "
            "model.pooling attentive trains without that norm; set it to 0"
        )
    if not config.loss.classifies:
        yield (
            "model.pooling attentive learns its scores from classes, not with "
            f"loss {config.loss.name}; use softmax"
        )
    if config.image.resize != "square":
        yield (
            "model.pooling attentive trains on photos of one shape; set "
            "image.resize to square"
        )


def _joint_faults(config: Config) -> Iterator[str]:
    if config.model.pooling == "attentive":
        yield (
            "model.local_dimension adds a local branch to a global pooling, "
            "and model.pooling attentive is DELF's own; use gem, or set it to 0"
        )
    if not config.training.epochs:
        return
    if not config.loss.classifies:
        yield (
            "model.local_dimension learns its attention from classes, not with "
            f"loss {config.loss.name}; use arcface"
        )
    if config.image.resize != "square":
        yield (
            "model.local_dimension trains on photos of one shape; set "
            "image.resize to square"
        )


def _unused_branch_settings(config: Config) -> Iterator[str]:
    defaults = Config()
    for section, names in (
        ("model", ("local_map", "local_options")),
        ("loss", ("attention_weight", "reconstruction_weight")),
    ):
        own, default = getattr(config, section), getattr(defaults, section)
        for name in names:
            if getattr(own, name) != getattr(default, name):
                yield (
                    f"{section}.{name} is for the local branch, and "
                    "model.local_dimension is 0; leave it out"
                )


def _missing_splits(config: Config) -> Iterator[str]:
    data, whitening = config.data, config.extraction.whitening
    if not data.train_split and config.training.epochs:
        yield "data.train_split is empty but training.epochs is not 0"
    if not data.train_split and whitening != "none":
        yield (
            f"data.train_split is empty, extraction.whitening {whitening} "
            "learns from it; set it to none"
        )
    if not data.train_split and not data.test_split:
        yield "data.test_split and data.train_split are empty, set one"
    if not data.validation_split and config.training.epochs:
        yield "data.validation_split is empty, the best epoch needs one"

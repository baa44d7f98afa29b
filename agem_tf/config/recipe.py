"""The fields of a recipe, with their help, bounds and defaults.

The defaults are the quickstart, so a recipe states only what differs from it.
The dataclasses have slots, so that a misspelt field of a recipe is an error.
docs/recipes.md is generated from the fields.
"""

import dataclasses
import pathlib
from typing import Any

from agem_tf import registry
from agem_tf.option_fields import option, required

ATTENTIONS = ("cbam", "agem", "none")
# The sides of a canvas are multiples of it, so that the "same" padding of
# strided layers is equal for every canvas.
CANVAS_MULTIPLE = 32
MINIMUM_SIZE = 32
BATCH_NORMS = ("frozen_statistics", "frozen", "trainable")
INTERPOLATIONS = ("bilinear", "bicubic", "lanczos3")
MERGES = ("residual", "add", "mul")
OPTIMIZERS = ("adam", "adamw", "sgd")
PLACEMENTS = ("C2", "C3", "C4", "C5", "blocks")
PRECISIONS = ("float32", "mixed_bfloat16")
SCHEDULES = (
    "epochs",
    "constant",
    "cosine",
    "exponential",
    "piecewise",
    "polynomial",
)
RESIZES = ("square", "aspect")
SELECTIONS = ("validation_loss", "validation_map")
STRATEGIES = ("auto", "one", "mirrored", "multiworker", "tpu")
WHITENING_STARTS = ("learned", "random")
WHITENINGS = ("learned", "pca", "none")


@dataclasses.dataclass(slots=True)
class DataConfig:
    """The photos and their splits."""

    dataset: str = option(
        "synthetic_landmarks",
        "Dataset builder.",
        choices=registry.names("dataset"),
    )
    directory: str = option(
        "", "Directory of the prepared dataset; empty: data in the workdir."
    )
    source: str = option(
        "", "Folder or CSV that the builder reads, if it needs one."
    )
    options: dict[str, Any] = option(
        factory=dict, help="Keyword arguments of the builder."
    )
    train_split: str = option(
        "train",
        "Split to train on, or several joined by '+'. Training and a learned "
        "whitening need it.",
    )
    validation_split: str = option(
        "validation",
        "Split that the best epoch is chosen on. Training needs it.",
    )
    test_split: str = option("test", "Split to score; empty: none.")


@dataclasses.dataclass(slots=True)
class ImageConfig:
    """The preprocessing of photos."""

    size: int = option(128, "Longer side in pixels.", minimum=MINIMUM_SIZE)
    resize: str = option(
        "square",
        "square stretches every photo to size x size; aspect keeps its "
        "proportions.",
        choices=RESIZES,
    )
    enlarge: bool = option(
        False,
        "Whether aspect enlarges photos smaller than size. The GeM reference "
        "never does.",
    )
    interpolation: str = option(
        "bicubic",
        "Pillow's resampling filter. The GeM reference uses lanczos3.",
        choices=INTERPOLATIONS,
    )
    buckets: tuple[tuple[int, ...], ...] = option(
        (),
        "Canvases (height, width) that aspect pads photos to, for compilers "
        "that need static shapes, such as a TPU's. Each photo takes the "
        f"smallest that holds it; sides are multiples of {CANVAS_MULTIPLE}. "
        "Descriptors do not depend on the padding. Empty: photos of equal "
        "shape are batched together.",
    )


@dataclasses.dataclass(slots=True)
class AugmentationConfig:
    """Random changes of the photos that are trained on; by default none.

    They follow from training.seed, the epoch, the photo and the query of its
    tuple. Mining, validation and tests see the photos as they are.
    """

    crop: float = option(
        1.0,
        "Least share of the area that a random crop of the same proportions "
        "keeps; 1: no crop.",
        above=0,
        maximum=1,
    )
    flip: float = option(
        0.0, "Probability of mirroring left to right.", minimum=0, maximum=1
    )
    colour: float = option(
        0.0,
        "Strength of random changes of brightness, contrast and saturation, by "
        "at most 80%, and hue, by at most 36 degrees.",
        minimum=0,
        maximum=1,
    )
    blur: float = option(
        0.0,
        "Probability of a Gaussian blur of 0.3 to 1.5 pixels.",
        minimum=0,
        maximum=1,
    )
    noise: float = option(
        0.0,
        "Largest standard deviation of Gaussian noise, in grey levels.",
        minimum=0,
        maximum=255,
    )
    jpeg_quality: int = option(
        100,
        "Lowest quality of a random JPEG compression; 100: none.",
        minimum=1,
        maximum=100,
    )
    erase: float = option(
        0.0,
        "Probability of filling a random rectangle of 2 to 20% of the area "
        "with the mean colour.",
        minimum=0,
        maximum=1,
    )


@dataclasses.dataclass(slots=True)
class ModelConfig:
    """The network; the fields are the arguments of `models.AGeM`."""

    backbone: str = option(
        "efficientnet_lite0",
        "Network that computes the feature map.",
        choices=registry.names("backbone"),
    )
    weights: str | None = option(
        "imagenet",
        "imagenet, a file of weights of the backbone, or None for random "
        "weights; or a whole network to start from, as far as its layers agree "
        "in name and shape: the workdir of a run or of a conversion, a preset, "
        "a .keras file of a run, or a checkpoint such as "
        "RUN/checkpoints/ckpt-12.",
    )
    feature_map: str = option(
        "C5", "Feature map that is pooled.", choices=PLACEMENTS[:-1]
    )
    attention: str = option(
        "cbam",
        "cbam, the three attention units of the AGeM paper (agem), or none.",
        choices=ATTENTIONS,
    )
    attention_placement: tuple[str, ...] = option(
        ("C5",),
        "Feature maps that get CBAM, or blocks for every residual block.",
        choices=PLACEMENTS,
    )
    attention_merge: str = option(
        "residual",
        "How agem's last unit is combined with its feature map.",
        choices=MERGES,
    )
    attention_bias: float = option(
        4.0, "Initial bias of agem's attention scores; 4 passes almost all."
    )
    pooling: str = option(
        "gem", "Global pooling layer.", choices=registry.names("pooling")
    )
    pooling_options: dict[str, Any] = option(
        factory=dict, help="Keyword arguments of the pooling layer."
    )
    regional: bool = option(
        False, "Whether to pool R-MAC's regions too and sum their descriptors."
    )
    whitening_dimension: int = option(
        0, "Outputs of a trained whitening layer; 0: no layer.", minimum=0
    )
    batch_norm: str = option(
        "frozen_statistics",
        "frozen_statistics trains scale and offset only; frozen trains "
        "neither; trainable also updates the statistics.",
        choices=BATCH_NORMS,
    )
    preprocessing: dict[str, Any] = option(
        factory=dict,
        help="Arguments of a `ChannelScaling` in place of the backbone's, for "
        "weights that expect other pixel values.",
    )
    local_dimension: int = option(
        0,
        "Dimension of the local features of the joint model (DELG), which "
        "trains a global descriptor, an attention and an autoencoder together; "
        "128 in its paper. 0: no local branch.",
        minimum=0,
    )
    local_map: str = option(
        "C4",
        "Feature map that the local branch reads.",
        choices=PLACEMENTS[:-1],
    )
    local_options: dict[str, Any] = option(
        factory=dict,
        help="Other keyword arguments of the local branch: filters and "
        "batch_norm of its attention.",
    )


@dataclasses.dataclass(slots=True)
class LossConfig:
    """The loss and its keyword arguments."""

    name: str = option(
        "contrastive",
        "contrastive and triplet compare the photos of a tuple. "
        "batch_hard_triplet and smooth_ap compare all photos of a step, across "
        "replicas, with all photos of a landmark as positives of each other. "
        "arcface and softmax classify the landmarks of the training split; the "
        "classifier's variables are named classifier/... in optimizer.rules.",
        choices=registry.names("loss"),
    )
    options: dict[str, Any] = option(
        factory=dict,
        help="Keyword arguments of the loss, such as {'label_smoothing': 0.1} "
        "of arcface and softmax.",
    )
    classifier_options: dict[str, Any] = option(
        factory=dict,
        help="Keyword arguments of the classifier: {'num_centres': 3} makes "
        "arcface sub-centre ArcFace.",
    )
    attention_weight: float = option(
        1.0,
        "With model.local_dimension, weight of the attention's softmax loss; "
        "1 in DELG.",
        minimum=0,
    )
    reconstruction_weight: float = option(
        10.0,
        "With model.local_dimension, weight of the autoencoder's squared "
        "error; 10 in DELG.",
        minimum=0,
    )

    @property
    def classifies(self) -> bool:
        """Whether an epoch consists of labelled photos instead of tuples."""
        return self.name in registry.names("classifier")


def default_loss() -> LossConfig:
    """Returns the quickstart's loss, with the margin of GeM's ResNets."""
    return LossConfig("contrastive", {"margin": 0.85})


@dataclasses.dataclass(slots=True)
class MiningConfig:
    """The tuples of an epoch: queries, positives and mined hard negatives.

    Classification losses mine nothing; each epoch shows every photo once.
    """

    num_queries: int = option(
        280,
        "Maximum of (query, positive) pairs per epoch; 2000 in the GeM paper.",
        minimum=1,
    )
    pool_size: int = option(
        100,
        "Maximum of images to mine negatives from; 20000 in the GeM paper. A "
        "pool much smaller than the split avoids the very hardest negatives, "
        "under which training on few photos with a high learning rate "
        "collapses.",
        minimum=1,
    )
    num_negatives: int = option(
        2, "Negatives per tuple; 5 in the GeM paper.", minimum=1
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
        choices=PLACEMENTS[:-1],
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


@dataclasses.dataclass(slots=True)
class TrainingConfig:
    """The training loop."""

    epochs: int = option(
        5,
        "Passes over newly drawn tuples or, with a classification loss, over "
        "all photos; 0 only evaluates.",
        minimum=0,
    )
    patience: int = option(
        0,
        "Epochs without a better select_best after which the training ends; 0: "
        "it lasts all epochs.",
        minimum=0,
    )
    batch_tuples: int = option(
        8,
        "Tuples per step over all replicas together; with a classification "
        "loss, photos.",
        minimum=1,
    )
    rescale: tuple[float, ...] = option(
        (),
        "Factors on the sides of photos, of which each step draws one for its "
        "whole batch, as DELF does; a program is compiled for each. Empty: "
        "none.",
        above=0,
    )
    accumulate_steps: int = option(
        1,
        "Parts of a step's tuples on each replica, computed one after the "
        "other to need less memory. The gradients are those of the whole step.",
        minimum=1,
    )
    steps_per_call: int = option(
        5, "Steps per call of the compiled function.", minimum=1
    )
    log_steps: int = option(
        0,
        "Steps between rows in steps.csv and in TensorBoard: loss per tuple, "
        "learning rate, norm of the gradients before clipping, p, photos per "
        "second and the share of time that waits for photos. They are read "
        "between calls of steps_per_call steps. On several replicas, the norm "
        "takes one more sum of the gradients. 0: no rows.",
        minimum=0,
    )
    checkpoint_steps: int = option(
        0,
        "Steps between checkpoints within an epoch; 0 saves only at its end.",
        minimum=0,
    )
    validate_steps: int = option(
        0,
        "Steps between validations within an epoch, each with a row in the "
        "history and a candidate for the best model; 0 validates only at its "
        "end.",
        minimum=0,
    )
    keep_best: int = option(
        1,
        "Best models kept: best.keras and, above 1, that many of the best "
        "validations in best/.",
        minimum=1,
    )
    keep_checkpoints: int = option(
        2,
        "Checkpoints kept; an older one is used if the newest is damaged.",
        minimum=2,
    )
    whitening_start: str = option(
        "learned",
        "Initial weights of the layer of model.whitening_dimension: learned "
        "whitening of the training split, as in the GeM paper, or random, as "
        "those of the layer before DELG's classifier.",
        choices=WHITENING_STARTS,
    )
    select_best: str = option(
        "validation_map",
        "Measure that selects the best epoch. The GeM reference uses the "
        "lowest validation loss, which classification losses do not have.",
        choices=SELECTIONS,
    )
    precision: str = option(
        "float32", "Keras dtype policy of the layers.", choices=PRECISIONS
    )
    seed: int = option(
        0, "Seed of every random choice.", minimum=0, maximum=2**31 - 1
    )
    deterministic: bool = option(
        False,
        "Whether a GPU computes the same bits in every run, with slower "
        "kernels. A CPU always does.",
    )


@dataclasses.dataclass(slots=True)
class ExtractionConfig:
    """Extraction of descriptors for mining, validation and tests."""

    scales: tuple[float, ...] = option(
        (1.0,),
        "Scales of the resized photo; several are merged into one descriptor.",
        above=0,
        maximum=4,
    )
    batch_size: int = option(
        16, "Photos per step over all replicas together.", minimum=1
    )
    whitening: str = option(
        "none",
        "learned or pca learns a whitening from the training split after "
        "training and exports it with the model.",
        choices=WHITENINGS,
    )
    whitening_shrinkage: float = option(
        0.0,
        "Shrinkage of learned whitening from few photos; 0 as published.",
        minimum=0,
        maximum=1,
    )


@dataclasses.dataclass(slots=True)
class BenchmarkConfig:
    """A prepared dataset that is scored besides the recipe's own splits."""

    directory: str = required("Directory of the prepared dataset.")
    name: str = option(
        "", "Name of its scores; empty: the name of the directory."
    )
    split: str = option("test", "Split to score.")
    size: int = option(
        0, "Longer side of its photos in pixels; 0: image.size.", minimum=0
    )
    scales: tuple[float, ...] = option(
        (),
        "Scales of the resized photo; empty: extraction.scales.",
        above=0,
        maximum=4,
    )
    whitening: str = option(
        "none",
        "learned or pca learns a whitening from the training split at the same "
        "size and scales, each time that the benchmark is scored.",
        choices=WHITENINGS,
    )
    rerank: str = option(
        "", "Re-ranking steps or presets, as in evaluation.rerank."
    )
    every: int = option(
        0,
        "Epochs of training between scores in the history; 0: only the "
        "network before and after training is scored.",
        minimum=0,
    )

    @property
    def title(self) -> str:
        """Name of its scores."""
        return self.name or pathlib.PurePath(self.directory).name


@dataclasses.dataclass(slots=True)
class EvaluationConfig:
    """What is scored, and how its rankings are improved."""

    untrained: bool = option(
        True,
        "Whether the network is also scored before training; with "
        "extraction.whitening, that extracts the training split once more.",
    )
    rerank: str = option(
        "",
        "Re-ranking steps or presets separated by spaces, such as "
        "'dba:20,1 qe:10,0' or 'agem'; empty: none.",
    )
    benchmarks: list[BenchmarkConfig] = option(
        factory=list,
        help="Other prepared datasets to score, each with its own settings, as "
        "in [{'directory': 'data/roxford5k', 'size': 1024, 'every': 10}].",
    )


def default_image() -> ImageConfig:
    """Returns the quickstart's photos, which keep their proportions."""
    return ImageConfig(160, "aspect")


def default_optimizer() -> OptimizerConfig:
    """Returns the quickstart's optimizer.

    Few small steps that end in a cosine, and the average of the weights: the
    network stays near its ImageNet weights, which know real photos, and the
    score depends little on the seed.
    """
    return OptimizerConfig(
        learning_rate=3e-5, schedule="cosine", warmup_steps=35, average=0.99
    )


def default_training() -> TrainingConfig:
    """Returns the length of the quickstart, minutes on two CPU cores."""
    return TrainingConfig(
        epochs=6, batch_tuples=4, steps_per_call=10, log_steps=10
    )


@dataclasses.dataclass(slots=True)
class Config:
    """A whole recipe."""

    name: str = option("quickstart", "Name of the recipe and of its run.")
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    image: ImageConfig = dataclasses.field(default_factory=default_image)
    augmentation: AugmentationConfig = dataclasses.field(
        default_factory=AugmentationConfig
    )
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    loss: LossConfig = dataclasses.field(default_factory=default_loss)
    mining: MiningConfig = dataclasses.field(default_factory=MiningConfig)
    optimizer: OptimizerConfig = dataclasses.field(
        default_factory=default_optimizer
    )
    training: TrainingConfig = dataclasses.field(
        default_factory=default_training
    )
    extraction: ExtractionConfig = dataclasses.field(
        default_factory=ExtractionConfig
    )
    evaluation: EvaluationConfig = dataclasses.field(
        default_factory=EvaluationConfig
    )

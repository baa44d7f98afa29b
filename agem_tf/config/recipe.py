"""The fields of a recipe, their meaning and their defaults.

The defaults are the quickstart, so a recipe states only what differs from it.
The dataclasses have slots, so that a misspelt field of a recipe is an error.
"""

import dataclasses
from typing import Any

from agem_tf import registry

ATTENTIONS = ("cbam", "agem", "none")
# A canvas has sides of a multiple of it, so that "same" padding of strided
# layers is the same for every canvas.
CANVAS_MULTIPLE = 32
BATCH_NORMS = ("frozen_statistics", "frozen", "trainable")
INTERPOLATIONS = ("bilinear", "bicubic", "lanczos3")
MERGES = ("residual", "add", "mul")
PLACEMENTS = ("C2", "C3", "C4", "C5", "blocks")
PRECISIONS = ("float32", "mixed_bfloat16")
RESIZES = ("square", "aspect")
SELECTIONS = ("validation_loss", "validation_map")
STRATEGIES = ("auto", "one", "mirrored", "multiworker", "tpu")
WHITENINGS = ("learned", "pca", "none")


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
        buckets: (height, width) of the canvases that photos are padded to
            under "aspect", for a compiler that wants static shapes, such as a
            TPU's; each photo takes the smallest that holds it. Sides are
            multiples of 32. Descriptors do not see the padding. Without any,
            photos of equal shape run together.
    """

    size: int = 128
    resize: str = "square"
    enlarge: bool = False
    interpolation: str = "bicubic"
    buckets: tuple[tuple[int, ...], ...] = ()


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
            other. "arcface" and "softmax" tell the landmarks of the training
            split apart, with a classifier that learns beside the network; its
            variables are called "classifier/..." in `optimizer.rules`.
        options: of the loss.
    """

    name: str = "contrastive"
    options: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def classifies(self) -> bool:
        """Whether an epoch is of lone photos and classes, not of tuples."""
        return self.name in registry.names("classifier")


def default_loss() -> LossConfig:
    """The quickstart's loss; the margin is that of GeM's published ResNets."""
    return LossConfig("contrastive", {"margin": 0.85})


@dataclasses.dataclass(slots=True)
class MiningConfig:
    """The tuples of an epoch: queries, positives and mined hard negatives.

    A loss of classes has none; each of its epochs shows every photo once.

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
    """Adam with a learning rate that decays exponentially by epoch.

    Attributes:
        learning_rate: before the first epoch.
        decay: an epoch multiplies the learning rate by exp(-decay).
        rules: the first that matches a variable holds.
        epsilon: of Adam; 1e-8 in the published training.
    """

    learning_rate: float = 2e-4
    decay: float = 0.01
    rules: list[OptimizerRule] = dataclasses.field(
        default_factory=default_rules
    )
    epsilon: float = 1e-7


@dataclasses.dataclass(slots=True)
class TrainingConfig:
    """The loop.

    Attributes:
        epochs: passes over freshly drawn tuples, or over all photos if the loss
            is one of classes; 0 only evaluates.
        batch_tuples: tuples a step over all replicas together; a loss of
            classes takes lone photos as tuples of one.
        steps_per_call: steps a call of the compiled function.
        checkpoint_steps: steps between checkpoints inside an epoch; 0 saves at
            the end of an epoch only.
        keep_checkpoints: newest checkpoints kept; the last but one serves if
            the last turns out to be damaged.
        select_best: what decides which epoch is the best one; the GeM
            reference takes the lowest validation loss, which a loss of classes
            does not have.
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
            few photos, see `learn_whitening`.
    """

    scales: tuple[float, ...] = (1.0,)
    batch_size: int = 16
    whitening: str = "none"
    whitening_shrinkage: float = 0.0


@dataclasses.dataclass(slots=True)
class EvaluationConfig:
    """How the test split is scored, beside the plain ranking.

    Attributes:
        rerank: steps of `search.reranking` or its presets, with spaces between
            them, such as "dba:20,1 qe:10,0" or "agem"; empty for none.
    """

    rerank: str = ""


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
    evaluation: EvaluationConfig = dataclasses.field(
        default_factory=EvaluationConfig
    )

"""The fields of a recipe, with their help, bounds and defaults.

The defaults are the quickstart, so a recipe states only what differs from it.
The dataclasses have slots, so that a misspelt field of a recipe is an error.
docs/recipes.md is generated from the fields.
"""

import dataclasses
from typing import Any

from agem_tf import registry
from agem_tf.config.evaluation_fields import EvaluationConfig, ExtractionConfig
from agem_tf.config.optimizer_fields import (
    FEATURE_MAPS,
    OptimizerConfig,
    default_optimizer,
)
from agem_tf.config.photo_fields import (
    AugmentationConfig,
    ImageConfig,
    default_image,
)
from agem_tf.option_fields import option

ATTENTIONS = ("cbam", "agem", "none")
BATCH_NORMS = ("frozen_statistics", "frozen", "trainable")
MERGES = ("residual", "add", "mul")
PLACEMENTS = (*FEATURE_MAPS, "blocks")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
SELECTIONS = ("validation_loss", "validation_map")
STRATEGIES = ("auto", "one", "mirrored", "multiworker", "tpu")
WHITENING_STARTS = ("learned", "random")


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
        "both also remote, a .keras file of a run, or a checkpoint such as "
        "RUN/checkpoints/ckpt-12.",
    )
    feature_map: str = option(
        "C5", "Feature map that is pooled.", choices=FEATURE_MAPS
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
        4.0,
        "Initial bias of agem's attention scores; 4 passes almost all, and at "
        "2 the scores move six times as far per step.",
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
    start_weight: float = option(
        0.0,
        "Weight of the squared distance of a photo's descriptor from that of "
        "the network before training, averaged over the photos of a tuple; "
        "above 0, a step takes another forward pass.",
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
        "float32",
        "Keras dtype policy of the layers. With mixed_float16, for GPUs "
        "without bfloat16, the loss is scaled, and steps whose gradients "
        "overflow are skipped.",
        choices=PRECISIONS,
    )
    jit_compile: bool = option(
        False,
        "Whether XLA compiles the training step of one device, which needs "
        "photos of few shapes. A TPU always compiles.",
    )
    remat: bool = option(
        False,
        "Whether the gradients compute most activations again instead of "
        "keeping them: less memory, about a third more time.",
    )
    seed: int = option(
        0, "Seed of every random choice.", minimum=0, maximum=2**31 - 1
    )
    deterministic: bool = option(
        False,
        "Whether a GPU computes the same bits in every run, with slower "
        "kernels. A CPU always does.",
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

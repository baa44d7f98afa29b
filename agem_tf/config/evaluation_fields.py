"""The fields of a recipe on how descriptors are extracted and scored."""

import dataclasses
import pathlib

from agem_tf.config.photo_fields import MAXIMUM_SIZE
from agem_tf.option_fields import option, required

RESIZES_BY = ("sizes", "factor")
USES = ("mining", "validation", "test")
WHITENINGS = ("learned", "pca", "none")


@dataclasses.dataclass(slots=True)
class UseConfig:
    """The photos of one use, where they differ from those of training."""

    size: int = option(
        0,
        "Longer side in pixels; 0: image.size.",
        minimum=0,
        maximum=MAXIMUM_SIZE,
    )
    scales: tuple[float, ...] = option(
        (),
        "Scales of the resized photo; empty: extraction.scales.",
        above=0,
        maximum=4,
    )
    buckets: tuple[tuple[int, ...], ...] = option(
        (),
        "Canvases (height, width); empty: image.buckets in proportion to size.",
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
    resize_by: str = option(
        "sizes",
        "What maps pixels to those of another scale, for descriptors of whole "
        "photos: the rounded sizes, as in PyTorch before 1.6 and so in the "
        "published networks, or the factor as given, as in PyTorch since.",
        choices=RESIZES_BY,
    )
    mining: UseConfig = option(
        factory=UseConfig, help="Photos that negatives are mined with."
    )
    validation: UseConfig = option(
        factory=UseConfig, help="Photos of validation."
    )
    test: UseConfig = option(
        factory=UseConfig,
        help="Photos of the test split, of learned whitening, of the exported "
        "model, and of the commands that take the run.",
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
        0,
        "Longer side of its photos in pixels; 0: that of extraction.test.",
        minimum=0,
        maximum=MAXIMUM_SIZE,
    )
    scales: tuple[float, ...] = option(
        (),
        "Scales of the resized photo; empty: those of extraction.test.",
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
    """Networks and benchmarks to score, and the re-ranking."""

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

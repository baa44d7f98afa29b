"""Benchmarks of a recipe: prepared datasets that are scored besides its own.

They are scored every so many epochs, into the history, and at the end.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Sequence

from agem_tf.config import (
    BenchmarkConfig,
    Config,
    ExtractionConfig,
    ImageConfig,
)
from agem_tf.datasets.prepared import PreparedDataset, Split
from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.descriptors.linear_whitening import LinearWhitening
from agem_tf.descriptors.whitening_learning import learn_by_method
from agem_tf.errors import UserError
from agem_tf.evaluation.evaluating import (
    Evaluation,
    Rerank,
    evaluate_descriptors,
)
from agem_tf.evaluation.ground_truth import GroundTruth
from agem_tf.evaluation.protocols.protocol import WHOLE, ProtocolScores
from agem_tf.extraction.extractor import Extractor
from agem_tf.extraction.uses import UseExtractors
from agem_tf.photos.canvases import at_size, settings_of
from agem_tf.retrieval import reranking


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """An opened benchmark.

    Attributes:
        settings: Its section of the recipe.
        dataset: The dataset.
        split: The photos that are scored.
        truth: Ground truth of the same photos.
        protocol: Name of the protocol.
        rerank: Improves the rankings; None for the plain ones.
    """

    settings: BenchmarkConfig
    dataset: PreparedDataset
    split: Split
    truth: GroundTruth
    protocol: str
    rerank: Rerank | None


def open_benchmarks(
    config: Config, skip_corrupt: bool = False
) -> list[Benchmark]:
    """Opens the recipe's benchmarks.

    Args:
        config: The recipe.
        skip_corrupt: See `PreparedDataset`.

    Raises:
        UserError: A dataset is not prepared, has no such split or no ground
            truth, or a re-ranking is unknown.
    """
    opened = []
    for settings in config.evaluation.benchmarks:
        dataset = PreparedDataset(settings.directory, skip_corrupt)
        opened.append(
            Benchmark(
                settings,
                dataset,
                dataset.split(settings.split),
                dataset.ground_truth(settings.split),
                dataset.protocol(settings.split),
                create_rerank(settings.rerank, "rerank of a benchmark"),
            )
        )
    return opened


def photo_settings(
    config: Config, benchmark: BenchmarkConfig
) -> tuple[ImageConfig, ExtractionConfig]:
    """Returns how the photos of a benchmark are resized and extracted."""
    image, extraction = settings_of(config, "test")
    if benchmark.size:
        image = at_size(image, benchmark.size)
    scales = benchmark.scales or extraction.scales
    return image, dataclasses.replace(extraction, scales=scales)


class BenchmarkScoring:
    """Scores one model on benchmarks, whatever its weights are.

    Benchmarks of the same photos and settings share their descriptors.

    Args:
        config: The recipe.
        benchmarks: Its opened benchmarks.
        extractors: Extractors of the model.
        train: Split that whitenings are learned from, if any are.
    """

    def __init__(
        self,
        config: Config,
        benchmarks: Sequence[Benchmark],
        extractors: UseExtractors,
        train: Split | None,
    ):
        self._config, self._benchmarks = config, benchmarks
        self._train = train
        self._of_tests = extractors.of_use("test")
        self._extractors = [
            extractors.of_settings(*photo_settings(config, each.settings))
            for each in benchmarks
        ]

    def score(
        self, epoch: int | None = None, directory: pathlib.Path | None = None
    ) -> dict[str, Evaluation]:
        """Scores the current weights; all workers must call it.

        Args:
            epoch: 1-based epoch that has ended, for the benchmarks that are
                due after it; None for all.
            directory: Directory of the descriptors of the recipe's own splits,
                to keep those of the benchmarks in its benchmarks/; None keeps
                none.

        Returns:
            Title of each benchmark -> its scores.
        """
        sets: dict[tuple, list[DescriptorSet]] = {}
        whitenings: dict[tuple, LinearWhitening] = {}
        evaluations = {}
        for benchmark, extractor in zip(
            self._benchmarks, self._extractors, strict=True
        ):
            settings = benchmark.settings
            if epoch and (not settings.every or epoch % settings.every):
                continue
            place = directory and directory / "benchmarks" / settings.title
            photos = extractor, settings.directory, settings.split
            if photos not in sets:
                sets[photos] = extract_sets(
                    extractor, benchmark.split, benchmark.truth, place
                )
            described = sets[photos]
            if settings.whitening != "none":
                kind = extractor, settings.whitening
                if kind not in whitenings:
                    # A learned whitening of the recipe needs the same ones.
                    shared = extractor is self._of_tests
                    parent = directory if shared else place
                    whitenings[kind] = self._learn(*kind, parent)
                described = [whitenings[kind].apply_to(x) for x in described]
            evaluations[settings.title] = evaluate_descriptors(
                described[0],
                benchmark.truth,
                *described[1:],
                protocol=benchmark.protocol,
                rerank=benchmark.rerank,
            )
        return evaluations

    def _learn(
        self, extractor: Extractor, method: str, place: pathlib.Path | None
    ) -> LinearWhitening:
        if place:
            descriptors = extractor.write(place / "train", self._train)
        else:
            descriptors = extractor.database(self._train)
        shrinkage = 0.0
        if method == "learned":
            shrinkage = self._config.extraction.whitening_shrinkage
        return learn_by_method(
            method,
            descriptors,
            self._train.labels,
            shrinkage,
            self._train.pairs,
        )


def extract_sets(
    extractor: Extractor,
    split: Split,
    truth: GroundTruth,
    directory: pathlib.Path | None = None,
) -> list[DescriptorSet]:
    """Extracts a split, and its queries where they are parts of photos.

    Args:
        extractor: Extractor of the descriptors.
        split: The photos.
        truth: Ground truth of the same photos.
        directory: Directory to write the two sets to; None keeps them in
            memory.

    Returns:
        The database, then the queries if they have boxes.
    """
    if directory is None:
        queries = extractor.queries(split, truth)
        return [extractor.database(split)] + ([queries] if queries else [])
    sets = [extractor.write(directory / "test", split)]
    if truth.has_boxes:
        sets.append(
            extractor.write(
                directory / "test_queries",
                split,
                truth.query_names,
                crop=True,
            )
        )
    return sets


def create_rerank(steps: str, field: str) -> Rerank | None:
    """Returns what improves rankings; None for no steps.

    Args:
        steps: Steps or presets separated by spaces.
        field: Name of the field, for the message.

    Raises:
        UserError: A step is unknown, or needs local features.
    """
    parsed = reranking.parse_rerank(steps.split())
    if not parsed:
        return None
    # Refused here, before hours of extraction.
    if reranking.split_verification(parsed)[1]:
        raise UserError(
            f"{field} has verify, which needs local features; leave it out and "
            "pass --rerank=verify to agem_tf.evaluate with --local_features."
        )
    return functools.partial(reranking.transform, steps=parsed)


def history_columns(title: str, scores: ProtocolScores) -> dict[str, float]:
    """Returns the columns of a benchmark in a row of the history.

    For example "roxford5k/map_medium": the first metric of each part. Scores
    that are not defined are left out.
    """
    columns = {}
    for part, content in scores.shown_parts().items():
        metric, value = next(iter(content.metrics.items()))
        suffix = "" if part == WHOLE else f"_{part}"
        if value == value:
            columns[f"{title}/{metric}{suffix}"] = float(value)
    return columns

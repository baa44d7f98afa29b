"""A whole run: dataset -> trained model -> scores -> SavedModel -> report."""

import dataclasses
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from agem_tf.config import Config, loading, validate
from agem_tf.datasets.prepared import PreparedDataset
from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.descriptors.linear_whitening import LinearWhitening
from agem_tf.descriptors.whitening_learning import learn_by_method
from agem_tf.distribution.batches import check_recipe
from agem_tf.distribution.strategies import create_strategy
from agem_tf.distribution.workers import (
    check_agreement,
    chief_first,
    is_chief,
)
from agem_tf.errors import UserError
from agem_tf.evaluation.evaluating import (
    Evaluation,
    Rerank,
    evaluate_descriptors,
)
from agem_tf.evaluation.tables import format_table, scores_dict, scores_row
from agem_tf.extraction.uses import UseExtractors
from agem_tf.files.locations import Location, as_location, is_remote
from agem_tf.files.remote_directories import mirrored
from agem_tf.models import DELF, AGeM
from agem_tf.photos.canvases import settings_of
from agem_tf.saved_models import retrieval_model
from agem_tf.saved_models.local_model import export_local_model
from agem_tf.training import reporting, runs
from agem_tf.training.benchmarks import (
    Benchmark,
    BenchmarkScoring,
    create_rerank,
    extract_sets,
    open_benchmarks,
)
from agem_tf.training.graph_rewriting import keep_sums_in_loops
from agem_tf.training.networks import create_model, start_whitening
from agem_tf.training.tasks import check_loss
from agem_tf.training.trainer import Trainer
from agem_tf.training.workdir import (
    BEST_MODEL,
    RECIPE,
    check_workdir,
    claim_workdir,
    keep_earlier_rules,
    write_json,
)


@dataclasses.dataclass(frozen=True)
class JobResult:
    """Results of a run.

    Attributes:
        evaluations: Name of a variant ("untrained", "trained", each also with
            ", learned whitening" or ", pca whitening", and these also
            re-ranked) -> its scores on the test split.
        saved_model: Directory of the exported model.
        report: Path of the HTML report.
        lost: Name of a split -> its photos whose records can't be read.
        benchmarks: Title of a benchmark -> "untrained" or "trained" -> its
            scores.
    """

    evaluations: dict[str, Evaluation]
    saved_model: Location
    report: Location
    lost: dict[str, list[str]]
    benchmarks: dict[str, dict[str, Evaluation]]

    def describe(self) -> str:
        """Returns the lines that the command prints at its end."""
        lines = [f"SavedModel: {self.saved_model}", f"Report: {self.report}"]
        lines += [
            f"Skipped in {split}: {len(names)} photo(s), first {names[0]}"
            for split, names in self.lost.items()
        ]
        tables = [
            _titled_table(f"Benchmark {title}", stages)
            for title, stages in self.benchmarks.items()
        ]
        if self.evaluations:
            title = "Photos of landmarks that training never saw"
            tables.insert(0, _titled_table(title, self.evaluations))
        return "\n".join([*tables, *([""] if tables else []), *lines])


def run_recipe(
    config: Config,
    workdir: str | pathlib.Path,
    strategy: str = "auto",
    tpu: str = "",
    skip_corrupt: bool = False,
    profile_steps: range = range(0),
) -> JobResult:
    """Trains a recipe, or resumes it; scores, exports and reports the result.

    Args:
        config: The recipe.
        workdir: Directory for all files of the run; with several workers, on a
            file system that all of them see. A remote one (gs://) is worked on
            in a local copy, and has what the copy has after each checkpoint.
        strategy, tpu: See `distribution.strategies.create_strategy`.
        skip_corrupt: Leave out photos whose records can't be read.
        profile_steps: Steps to trace, counted over all epochs from 0.

    Raises:
        UserError: A mistake in the recipe, the data or the workdir.
        SystemExit: SIGTERM was received, and the run can be resumed; see
            `distribution.preemption`.
    """
    validate(config)
    with mirrored(workdir) as (local, push):
        if is_remote(workdir) and os.environ.get("TF_CONFIG"):
            raise UserError(
                f"{workdir} is remote, and several workers read each other's "
                "files; give a --workdir on a file system that all of them see."
            )
        result = _run(
            config, local, push, strategy, tpu, skip_corrupt, profile_steps
        )
    place = as_location(workdir, "--workdir")
    return dataclasses.replace(
        result,
        saved_model=place / result.saved_model.name,
        report=place / result.report.name,
    )


def _run(
    config: Config,
    workdir: pathlib.Path,
    push: Callable[[], None],
    strategy: str,
    tpu: str,
    skip_corrupt: bool,
    profile_steps: range,
) -> JobResult:
    config = keep_earlier_rules(workdir, config)
    check_workdir(workdir, config)
    if config.training.deterministic:
        tf.config.experimental.enable_op_determinism()
    devices = create_strategy(strategy, tpu)
    check_recipe(config, devices)
    check_loss(config.loss)
    keep_sums_in_loops()
    keras.utils.set_random_seed(config.training.seed)
    with devices.scope():
        model = create_model(config)
        extractors = UseExtractors(config, model, devices)
    with chief_first(devices):
        dataset = runs.open_dataset(config, workdir, skip_corrupt=skip_corrupt)
        benchmarks = open_benchmarks(config, skip_corrupt)
    scoring = _Scoring(config, workdir, dataset, is_chief(devices), benchmarks)
    # Created before any long work, as it finds most mistakes of a recipe.
    trainer = None
    if config.training.epochs:
        trainer = Trainer(
            config,
            workdir,
            dataset,
            model,
            extractors,
            devices,
            profile_steps,
            scoring.on_benchmarks(extractors),
            push,
        )
    _claim(workdir, config, dataset, devices)
    if (
        model.whitening_dimension
        and config.data.train_split
        and config.training.whitening_start == "learned"
    ):
        start_whitening(
            model,
            dataset.split(config.data.train_split),
            workdir,
            config,
            devices,
        )
    if config.evaluation.untrained:
        scoring.score("untrained", extractors)
    history: list[dict[str, float]] = []
    if trainer:
        history = trainer.train()
        model = runs.open_run(workdir, devices).model
        scoring.score("trained", UseExtractors(config, model, devices))
    elif is_chief(devices):
        runs.save_model(model, workdir / BEST_MODEL)
    result = JobResult(
        scoring.evaluations,
        workdir / "saved_model",
        workdir / "report.html",
        scoring.lost(),
        scoring.benchmarks,
    )
    with chief_first(devices):
        if is_chief(devices):
            _write_metrics(workdir / "metrics.json", result)
            _export(model, result.saved_model, config, scoring.whitening)
            reporting.write_report(
                result.report,
                config,
                dataset,
                model,
                scoring.evaluations,
                history,
                scoring.benchmarks,
            )
    return result


class _Scoring:
    """Scores models on the test split, with and without learned whitening.

    Attributes:
        evaluations: Name of a variant -> its scores.
        benchmarks: Title of a benchmark -> "untrained" or "trained" -> its
            scores.
        whitening: Whitening of the last model, None if the recipe has none.
    """

    def __init__(
        self,
        config: Config,
        workdir: pathlib.Path,
        dataset: PreparedDataset,
        writes: bool,
        benchmarks: Sequence[Benchmark],
    ):
        self.evaluations: dict[str, Evaluation] = {}
        self.benchmarks: dict[str, dict[str, Evaluation]] = {}
        self.whitening: LinearWhitening | None = None
        self._config, self._workdir, self._writes = config, workdir, writes
        self._dataset, self._opened = dataset, benchmarks
        # Suffix of a variant -> how its rankings are improved.
        self._rerankings: dict[str, Rerank | None] = {"": None}
        steps = config.evaluation.rerank
        if rerank := create_rerank(steps, "evaluation.rerank"):
            self._rerankings[f", {steps}"] = rerank
        data = config.data
        self._train = self._test = None
        if data.train_split:
            self._train = dataset.split(data.train_split)
        if data.test_split:
            self._test = dataset.split(data.test_split)
            self._truth = dataset.ground_truth(data.test_split)
            self._protocol = dataset.protocol(data.test_split)

    def on_benchmarks(self, extractors: UseExtractors) -> BenchmarkScoring:
        """Returns what scores a model on the recipe's benchmarks."""
        return BenchmarkScoring(
            self._config, self._opened, extractors, self._train
        )

    def lost(self) -> dict[str, list[str]]:
        """Returns the lost photos by split, also those of benchmarks."""
        lost = dict(self._dataset.lost)
        for each in self._opened:
            for split, names in each.dataset.lost.items():
                lost[f"{each.settings.title} {split}"] = names
        return lost

    def score(self, stage: str, extractors: UseExtractors) -> None:
        """Scores a model, then with the whitening that is learned for it."""
        directory = self._workdir / "descriptors" / stage
        scored = self.on_benchmarks(extractors).score(directory=directory)
        for title, evaluation in scored.items():
            self.benchmarks.setdefault(title, {})[stage] = evaluation
        extractor = extractors.of_use("test")
        sets = []
        if self._test:
            sets = extract_sets(extractor, self._test, self._truth, directory)
        self._evaluate(stage, sets)
        extraction = self._config.extraction
        if extraction.whitening == "none":
            return
        self.whitening = learn_by_method(
            extraction.whitening,
            extractor.write(directory / "train", self._train),
            self._train.labels,
            extraction.whitening_shrinkage,
            self._train.pairs,
        )
        if self._writes:
            self.whitening.save(self._workdir / "whitening")
        self._evaluate(
            f"{stage}, {self.whitening.kind} whitening",
            [self.whitening.apply_to(each) for each in sets],
        )

    def _evaluate(self, variant: str, sets: Sequence[DescriptorSet]) -> None:
        if not sets:
            return
        for suffix, rerank in self._rerankings.items():
            self.evaluations[variant + suffix] = evaluate_descriptors(
                sets[0],
                self._truth,
                *sets[1:],
                protocol=self._protocol,
                rerank=rerank,
            )


def _claim(
    workdir: pathlib.Path,
    config: Config,
    dataset: PreparedDataset,
    strategy: tf.distribute.Strategy,
) -> None:
    """Writes the recipe to the workdir; checks that all workers use it."""
    check_agreement(
        "recipe or dataset",
        f"{loading.recipe_to_dict(config)} {dataset.fingerprint}",
        strategy,
    )
    with chief_first(strategy):
        if is_chief(strategy):
            claim_workdir(workdir, config, dataset.fingerprint)
    path = workdir / RECIPE
    check_agreement(
        "--workdir", path.read_text() if path.exists() else "", strategy
    )


def _export(
    model: AGeM,
    directory: Location,
    config: Config,
    whitening: LinearWhitening | None,
) -> None:
    """Writes a SavedModel with the settings of the tests."""
    image, extraction = settings_of(config, "test")
    if isinstance(model, DELF):
        # PCA of local features is learned after training.
        export_local_model(model, directory, image)
    else:
        retrieval_model.export_model(
            model, directory, image, extraction, whitening
        )


def _titled_table(title: str, evaluations: Mapping[str, Evaluation]) -> str:
    scores = next(iter(evaluations.values())).scores
    unit = ", percent" if scores.in_percent else ""
    rows = [scores_row(name, x.scores) for name, x in evaluations.items()]
    return f"\n{title}{unit}:\n{format_table(rows)}"


def _write_metrics(path: pathlib.Path, result: JobResult) -> None:
    metrics: dict[str, Any] = {
        name: scores_dict(evaluation.scores)
        for name, evaluation in result.evaluations.items()
    }
    if result.benchmarks:
        metrics["benchmarks"] = {
            title: {
                stage: scores_dict(evaluation.scores)
                for stage, evaluation in stages.items()
            }
            for title, stages in result.benchmarks.items()
        }
    if result.lost:
        metrics["lost_photos"] = result.lost
    write_json(path, metrics)

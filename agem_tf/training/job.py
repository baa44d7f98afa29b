"""The main job: dataset -> trained model -> scores -> SavedModel -> report."""

import dataclasses
import functools
import pathlib
from typing import Any

import keras
import tensorflow as tf

from agem_tf.config import Config, loading, validate
from agem_tf.descriptors.linear_whitening import LinearWhitening
from agem_tf.descriptors.whitening_learning import learn_by_method
from agem_tf.distribution.batches import check_recipe
from agem_tf.distribution.strategies import create_strategy
from agem_tf.distribution.workers import (
    check_agreement,
    chief_first,
    is_chief,
    lost_workers_named,
    barrier,
)
from agem_tf.errors import UserError
from agem_tf.evaluation.evaluating import (
    Evaluation,
    Rerank,
    evaluate_descriptors,
)
from agem_tf.evaluation.tables import format_table, scores_dict, scores_row
from agem_tf.extraction.extractor import Extractor
from agem_tf.files.atomic_writing import full_disk_named
from agem_tf.models import AGeM
from agem_tf.retrieval import reranking
from agem_tf.saved_models import retrieval_model
from agem_tf.training import reporting, runs
from agem_tf.training.trainer import Trainer
from agem_tf.training.whitening_start import start_whitening
from agem_tf.training.workdir import (
    BEST_MODEL,
    RECIPE,
    check_workdir,
    claim_workdir,
    write_json,
)


@dataclasses.dataclass(frozen=True)
class JobResult:
    """What a run has made.

    Attributes:
        evaluations: name of a variant ("untrained", "trained", each also with
            ", learned whitening", and these also re-ranked) -> its scores on
            the test split.
        saved_model: directory of the exported model.
        report: path of the HTML report.
        lost: name of a split -> its photos whose records can't be read.
    """

    evaluations: dict[str, Evaluation]
    saved_model: pathlib.Path
    report: pathlib.Path
    lost: dict[str, list[str]]

    def describe(self) -> str:
        """Returns the lines that end the command."""
        lines = [f"SavedModel: {self.saved_model}", f"Report: {self.report}"]
        lines += [
            f"Lost of {split}: {len(names)} photo(s), such as {names[0]}"
            for split, names in self.lost.items()
        ]
        if not self.evaluations:
            return "\n".join(lines)
        rows = [
            scores_row(name, evaluation.scores)
            for name, evaluation in self.evaluations.items()
        ]
        table = format_table(rows)
        title = "Photos of landmarks that training never saw, percent:"
        return "\n".join(["", title, table, "", *lines])


def run_recipe(
    config: Config,
    workdir: str | pathlib.Path,
    strategy: str = "auto",
    tpu: str = "",
    skip_corrupt: bool = False,
    profile_steps: range = range(0),
) -> JobResult:
    """Trains a recipe, or resumes it, and does everything that comes after.

    Args:
        config: the recipe.
        workdir: where all files of the run go; of several workers, on a file
            system that all see.
        strategy, tpu: see `distribution.strategies`.
        skip_corrupt: do without the photos whose records can't be read.
        profile_steps: steps to trace, counted over all epochs from 0.

    Raises:
        UserError: a fault of the recipe, the data, the workdir, or of the
            other workers.
        SystemExit: SIGTERM came, and the run can go on; see `termination`.
    """
    validate(config)
    check_workdir(pathlib.Path(workdir), config)
    devices = create_strategy(strategy, tpu)
    with (
        full_disk_named(workdir),
        lost_workers_named(devices),
    ):
        job = _Job(
            config, pathlib.Path(workdir), devices, skip_corrupt, profile_steps
        )
        job.start()
        job.score()
        job.train()
        return job.finish()


class _Job:
    """The stages of a run, over what they share."""

    def __init__(
        self,
        config: Config,
        workdir: pathlib.Path,
        strategy: tf.distribute.Strategy,
        skip_corrupt: bool,
        profile_steps: range,
    ):
        self._config, self._workdir = config, workdir
        self._rerankings = _rerankings(config.evaluation.rerank)
        self._strategy = strategy
        self._writes = is_chief(strategy)
        check_recipe(config, strategy)
        keras.utils.set_random_seed(config.training.seed)
        with self._strategy.scope(), runs.precision(config):
            self._turn_to("untrained", create_model(config))
        with chief_first(strategy):
            self._dataset = runs.open_dataset(
                config, workdir, skip_corrupt=skip_corrupt
            )
        self._splits = {
            name: self._dataset.split(name)
            for name in (config.data.train_split, config.data.test_split)
            if name
        }
        # Made before any long work, for it finds most faults of a recipe.
        self._trainer = self._make_trainer(profile_steps)
        self._claim()
        self._history: list[dict[str, float]] = []
        self._evaluations: dict[str, Evaluation] = {}

    def _claim(self) -> None:
        """Has the chief claim the workdir; the others must mean the same."""
        fingerprint = self._dataset.fingerprint
        check_agreement(
            "recipe or dataset",
            f"{loading.to_dict(self._config)} {fingerprint}",
            self._strategy,
        )
        with chief_first(self._strategy):
            if self._writes:
                claim_workdir(self._workdir, self._config, fingerprint)
        path = self._workdir / RECIPE
        check_agreement(
            "--workdir",
            path.read_text() if path.exists() else "",
            self._strategy,
        )

    def start(self) -> None:
        """Gives a whitening layer its learned start."""
        data = self._config.data
        if self._model.whitening_dimension and data.train_split:
            start_whitening(
                self._model,
                self._splits[data.train_split],
                self._workdir / "descriptors" / "before_whitening",
                self._config,
                self._strategy,
            )

    def train(self) -> None:
        """Trains the remaining epochs and turns to the best weights."""
        if self._trainer is None:
            if self._writes:
                runs.save_model(self._model, self._workdir / BEST_MODEL)
            return
        self._history = self._trainer.run()
        best = runs.open_run(self._workdir, self._strategy).model
        self._turn_to("trained", best)
        self.score()

    def score(self) -> None:
        """Scores the current model on the test split, then its whitening."""
        self._evaluate()
        if self._config.extraction.whitening != "none":
            self._whitening = self._learn_whitening()
            if self._writes:
                self._whitening.save(self._workdir / "whitening")
            self._evaluate()

    def _make_trainer(self, profile_steps: range) -> Trainer | None:
        if not self._config.training.epochs:
            return None
        return Trainer(
            self._config,
            self._workdir,
            self._dataset,
            self._model,
            self._extractor,
            self._strategy,
            profile_steps,
        )

    def _turn_to(self, stage: str, model: AGeM) -> None:
        self._stage, self._model = stage, model
        self._whitening: LinearWhitening | None = None
        self._descriptors = self._workdir / "descriptors" / stage
        self._extractor = Extractor(
            model, self._config.image, self._config.extraction, self._strategy
        )

    def _learn_whitening(self) -> LinearWhitening:
        extraction = self._config.extraction
        split = self._splits[self._config.data.train_split]
        descriptors = self._extractor.write(self._descriptors / "train", split)
        return learn_by_method(
            extraction.whitening,
            descriptors,
            split.labels,
            extraction.whitening_shrinkage,
            split.pairs,
        )

    def _evaluate(self) -> None:
        name = self._config.data.test_split
        if not name:
            return
        split = self._splits[name]
        truth = self._dataset.ground_truth(name)
        sets = [self._extractor.write(self._descriptors / "test", split)]
        if truth.has_boxes:
            sets.append(
                self._extractor.write(
                    self._descriptors / "test_queries",
                    split,
                    truth.query_names,
                    crop=True,
                )
            )
        protocol = self._dataset.manifest.get("protocol", "revisited")
        variant = self._stage
        if self._whitening is not None:
            sets = [self._whitening.apply_to(each) for each in sets]
            variant += f", {self._whitening.kind} whitening"
        for suffix, rerank in self._rerankings.items():
            self._evaluations[variant + suffix] = evaluate_descriptors(
                sets[0],
                truth,
                *sets[1:],
                protocol=protocol,
                rerank=rerank,
            )

    def finish(self) -> JobResult:
        """Has the chief write the scores, the SavedModel and the report."""
        result = JobResult(
            self._evaluations,
            self._workdir / "saved_model",
            self._workdir / "report.html",
            self._dataset.lost,
        )
        if self._writes:
            self._write(result)
        barrier(self._strategy)
        return result

    def _write(self, result: JobResult) -> None:
        metrics: dict[str, Any] = {
            name: scores_dict(evaluation.scores)
            for name, evaluation in self._evaluations.items()
        }
        if result.lost:
            metrics["lost_photos"] = result.lost
        write_json(self._workdir / "metrics.json", metrics)
        retrieval_model.export_model(
            self._model,
            result.saved_model,
            self._config.image,
            self._config.extraction,
            self._whitening,
        )
        reporting.write_report(
            result.report,
            self._config,
            self._dataset,
            self._model,
            self._evaluations,
            self._history,
        )


def create_model(config: Config) -> AGeM:
    """Builds the recipe's network.

    Raises:
        UserError: the parts do not fit together.
    """
    try:
        return AGeM(**dataclasses.asdict(config.model))
    except UserError:
        raise
    except (TypeError, ValueError) as error:
        raise UserError(
            f"The recipe's model can't be built: {error}"
        ) from error


def _rerankings(steps: str) -> dict[str, Rerank | None]:
    """What a variant's name ends in -> how its rankings are improved."""
    parsed = reranking.parse_rerank(steps.split())
    if not parsed:
        return {"": None}
    rerank = functools.partial(reranking.transform, steps=parsed)
    return {"": None, f", {steps}": rerank}

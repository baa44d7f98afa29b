"""The main job: dataset -> trained model -> scores -> SavedModel -> report."""

import dataclasses
import pathlib

import keras
from absl import logging

from agem_tf import distribution, saved_model
from agem_tf.artifacts import Whitening
from agem_tf.config import Config, validate
from agem_tf.errors import UserError
from agem_tf.evaluation.descriptors import Evaluation, evaluate_descriptors
from agem_tf.evaluation.tables import format_table, scores_dict, scores_row
from agem_tf.extraction import Extractor
from agem_tf.models import AGeM
from agem_tf.training import reporting, runs
from agem_tf.training.loop import Trainer
from agem_tf.training.whitening_start import start_whitening
from agem_tf.training.workdir import BEST_MODEL, check, claim, write_json
from agem_tf.whitening import learn


@dataclasses.dataclass(frozen=True)
class JobResult:
    """What a run has made.

    Attributes:
        evaluations: name of a variant ("untrained", "trained", each also with
            ", learned whitening") -> its scores on the test split.
        saved_model: directory of the exported model.
        report: path of the HTML report.
    """

    evaluations: dict[str, Evaluation]
    saved_model: pathlib.Path
    report: pathlib.Path

    def describe(self) -> str:
        """Returns the lines that end the command."""
        lines = [f"SavedModel: {self.saved_model}", f"Report: {self.report}"]
        if not self.evaluations:
            return "\n".join(lines)
        rows = [
            scores_row(name, evaluation.scores)
            for name, evaluation in self.evaluations.items()
        ]
        table = format_table(rows)
        title = "Photos of landmarks that training never saw, percent:"
        return "\n".join(["", title, table, "", *lines])


def run(
    config: Config, workdir: str | pathlib.Path, strategy: str = "auto"
) -> JobResult:
    """Trains a recipe, or resumes it, and does everything that comes after.

    Args:
        config: the recipe.
        workdir: where all files of the run go.
        strategy: see `distribution.create_strategy`.

    Raises:
        UserError: a fault of the recipe, the data, or the workdir.
    """
    validate(config)
    check(pathlib.Path(workdir), config)
    job = _Job(config, pathlib.Path(workdir), strategy)
    job.start()
    job.score()
    job.train()
    return job.finish()


class _Job:
    """The stages of a run, over what they share."""

    def __init__(self, config: Config, workdir: pathlib.Path, strategy: str):
        self._config, self._workdir = config, workdir
        self._strategy = distribution.create_strategy(strategy)
        logging.info(
            "Running on %d replica(s)", self._strategy.num_replicas_in_sync
        )
        keras.utils.set_random_seed(config.training.seed)
        with self._strategy.scope(), runs.precision(config):
            self._turn_to("untrained", create_model(config))
        self._dataset = runs.open_dataset(config, workdir)
        self._splits = {
            name: self._dataset.split(name)
            for name in (config.data.train_split, config.data.test_split)
            if name
        }
        # Made before any long work, for it finds most faults of a recipe.
        self._trainer = self._make_trainer()
        claim(workdir, config, self._dataset.fingerprint)
        self._history: list[dict[str, float]] = []
        self._evaluations: dict[str, Evaluation] = {}

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
            self._whitening.save(self._workdir / "whitening")
            self._evaluate()

    def _make_trainer(self) -> Trainer | None:
        if not self._config.training.epochs:
            return None
        return Trainer(
            self._config,
            self._workdir,
            self._dataset,
            self._model,
            self._extractor,
            self._strategy,
        )

    def _turn_to(self, stage: str, model: AGeM) -> None:
        self._stage, self._model = stage, model
        self._whitening: Whitening | None = None
        self._descriptors = self._workdir / "descriptors" / stage
        self._extractor = Extractor(
            model, self._config.image, self._config.extraction, self._strategy
        )

    def _learn_whitening(self) -> Whitening:
        extraction = self._config.extraction
        split = self._splits[self._config.data.train_split]
        descriptors = self._extractor.write(self._descriptors / "train", split)
        return learn(
            extraction.whitening,
            descriptors,
            split.labels,
            extraction.whitening_shrinkage,
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
        variant = self._stage
        if self._whitening is not None:
            sets = [self._whitening.apply_to(each) for each in sets]
            variant += f", {self._whitening.kind} whitening"
        self._evaluations[variant] = evaluate_descriptors(
            sets[0], truth, *sets[1:]
        )

    def finish(self) -> JobResult:
        """Writes the scores, the SavedModel and the report."""
        write_json(
            self._workdir / "metrics.json",
            {
                name: scores_dict(evaluation.scores)
                for name, evaluation in self._evaluations.items()
            },
        )
        exported = saved_model.export_model(
            self._model,
            self._workdir / "saved_model",
            self._config.image,
            self._config.extraction,
            self._whitening,
        )
        report = reporting.write_report(
            self._workdir / "report.html",
            self._config,
            self._dataset,
            self._model,
            self._evaluations,
            self._history,
        )
        return JobResult(self._evaluations, exported, report)


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

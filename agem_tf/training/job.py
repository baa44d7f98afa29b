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
from agem_tf.training import checkpoints, reporting, runs
from agem_tf.training.loop import Trainer
from agem_tf.whitening import learn


@dataclasses.dataclass(frozen=True)
class JobResult:
    """What a run has made.

    Attributes:
        evaluations: name of a variant ("untrained", "trained",
            "trained, learned whitening") -> its scores on the test split.
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
    job = _Job(config, pathlib.Path(workdir), strategy)
    job.score()
    job.train()
    job.whiten()
    return job.finish()


class _Job:
    """The stages of a run, over what they share."""

    def __init__(self, config: Config, workdir: pathlib.Path, strategy: str):
        checkpoints.claim_workdir(workdir, config)
        self._config, self._workdir = config, workdir
        self._dataset = runs.open_dataset(config, workdir)
        self._strategy = distribution.create_strategy(strategy)
        logging.info(
            "Running on %d replica(s)", self._strategy.num_replicas_in_sync
        )
        keras.config.set_dtype_policy(config.training.precision)
        keras.utils.set_random_seed(config.training.seed)
        with self._strategy.scope():
            self._model = create_model(config)
        self._stage = "untrained"
        self._whitening: Whitening | None = None
        self._history: list[dict[str, float]] = []
        self._evaluations: dict[str, Evaluation] = {}

    def train(self) -> None:
        """Trains the remaining epochs and turns to the best weights."""
        if not self._config.training.epochs:
            runs.save_model(self._model, self._workdir / runs.BEST_MODEL)
            return
        self._history = Trainer(
            self._config,
            self._workdir,
            self._dataset,
            self._model,
            self._strategy,
        ).run()
        self._model = runs.open_run(self._workdir, self._strategy).model
        self._stage = "trained"
        self.score()

    def whiten(self) -> None:
        """Learns the recipe's whitening on the training split."""
        method = self._config.extraction.whitening
        if method == "none":
            return
        split = self._dataset.split(self._config.data.train_split)
        descriptors = self._extractor().write(
            self._descriptors / "train", split
        )
        self._whitening = learn(method, descriptors, split.labels)
        self._whitening.save(self._workdir / "whitening")
        self.score()

    def score(self) -> None:
        """Adds the current model's scores on the test split."""
        name = self._config.data.test_split
        if not name:
            return
        split = self._dataset.split(name)
        truth = self._dataset.ground_truth(name)
        extractor = self._extractor()
        sets = [extractor.write(self._descriptors / "test", split)]
        if truth.has_boxes:
            sets.append(
                extractor.write(
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
        checkpoints.write_json(
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

    @property
    def _descriptors(self) -> pathlib.Path:
        return self._workdir / "descriptors" / self._stage

    def _extractor(self) -> Extractor:
        return Extractor(
            self._model,
            self._config.image,
            self._config.extraction,
            self._strategy,
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

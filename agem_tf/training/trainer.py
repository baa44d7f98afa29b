"""The training loop: draw, train, validate, keep the best; epoch after epoch.

A custom loop, because Keras' fit() loses steps or rescales gradients under
several replicas once the step differs from its built-in one.

A killed run, resumed, ends with the weights of an undisturbed one: an epoch is
a function of the weights at its start, the seed and its number, and a step is a
function of its position in the epoch's tuples. The bits are equal where those
of two undisturbed runs are: on CPUs, and on GPUs with `training.deterministic`.
"""

import contextlib
import logging
import pathlib
import time
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from agem_tf.config import Config
from agem_tf.datasets.photo_pipeline import PhotoPipeline
from agem_tf.datasets.prepared import PreparedDataset
from agem_tf.distribution import preemption
from agem_tf.distribution.batches import distribute
from agem_tf.distribution.workers import (
    agreed_stop,
    barrier,
    check_agreement,
    from_chief,
    is_chief,
)
from agem_tf.errors import UserError
from agem_tf.evaluation.evaluating import evaluate_descriptors
from agem_tf.extraction.uses import UseExtractors
from agem_tf.models import AGeM
from agem_tf.progress import Progress
from agem_tf.training.benchmarks import BenchmarkScoring, history_columns
from agem_tf.training.callbacks import StepProfiler, epoch_files
from agem_tf.training.checkpoints import RunState
from agem_tf.training.networks import training_networks
from agem_tf.training.optimizers import RuleOptimizer
from agem_tf.training.selection import epochs_since_best
from agem_tf.training.start_distance import LossNearStart, untrained_copy
from agem_tf.training.step import TrainingStep, host_clock
from agem_tf.training.step_log import StepLog
from agem_tf.training.tasks import create_task

_LOG = logging.getLogger(__name__)


class Trainer:
    """Trains a model in a workdir, from the newest checkpoint there.

    Args:
        config: A validated recipe.
        workdir: Directory for checkpoints, history and the best model.
        dataset: Prepared photos.
        model: The model, created under `strategy`.
        extractors: Extractors of the same model.
        strategy: Strategy to train under.
        profile_steps: Steps to trace, counted over all epochs from 0.
        benchmarks: Scores the same model on the recipe's benchmarks.
        push: Called after each checkpoint, and after the files of each epoch.

    Raises:
        UserError: The recipe's loss, optimizer rules, batch and dataset do not
            fit together.
    """

    def __init__(
        self,
        config: Config,
        workdir: pathlib.Path,
        dataset: PreparedDataset,
        model: AGeM,
        extractors: UseExtractors,
        strategy: tf.distribute.Strategy,
        profile_steps: range = range(0),
        benchmarks: BenchmarkScoring | None = None,
        push: Callable[[], None] | None = None,
    ):
        self._benchmarks, self._push = benchmarks, push
        self._config, self._strategy = config, strategy
        self._workdir = workdir
        self._model = model
        self._extractor = extractors.of_use("mining")
        self._validator = extractors.of_use("validation")
        with strategy.scope():
            self._task = create_task(config, dataset, model)
            self._optimizer = RuleOptimizer(
                config.optimizer,
                [*model.trainable_variables, *self._task.variables],
                self._task.num_tuples // config.training.batch_tuples,
                config.training.epochs,
                model.stage_variables(),
                measures_norm=config.training.log_steps > 0,
                scales_loss=config.training.precision == "mixed_float16",
            )
        if self._task.num_tuples < config.training.batch_tuples:
            raise UserError(
                f"The training split gives {self._task.num_tuples} tuples or "
                "single photos, fewer than training.batch_tuples="
                f"{config.training.batch_tuples}; lower it."
            )
        steps = config.training.epochs * (
            self._task.num_tuples // config.training.batch_tuples
        )
        if steps <= config.optimizer.warmup_steps:
            _LOG.warning(
                "The learning rate never reaches optimizer.learning_rate: the "
                "training has %d steps, and optimizer.warmup_steps is %d; "
                "lower it.",
                steps,
                config.optimizer.warmup_steps,
            )
        self._start, loss = None, self._task.loss
        if config.loss.start_weight:
            loss = LossNearStart(loss, config.loss.start_weight)
            with strategy.scope():
                self._start = untrained_copy(model)
        trained = self._optimizer.trainable_variables
        self._step = TrainingStep(
            training_networks(
                model,
                config.image,
                trained,
                config.training.rescale,
                config.training.remat,
                self._start,
            ),
            loss,
            self._optimizer,
            strategy,
            config.training.seed,
            config.training.accumulate_steps,
            host_clock if config.training.deterministic else tf.timestamp,
            config.training.jit_compile,
        )
        self._validation = dataset.split(config.data.validation_split)
        self._validation_truth = dataset.ground_truth(
            config.data.validation_split
        )
        self._state = RunState(
            workdir,
            [*model.variables, *self._task.variables],
            self._optimizer,
            config.training.keep_checkpoints,
        )
        # Of several workers, only the chief writes.
        self._epoch_files = None
        self._step_log: StepLog | None = None
        if is_chief(strategy):
            self._epoch_files = epoch_files(config, workdir, dataset, model)
        self._profiler = StepProfiler(workdir / "tensorboard", profile_steps)

    def train(self) -> list[dict[str, float]]:
        """Trains the remaining epochs; returns the history.

        It has a row per epoch, and one per validation within an epoch.

        The files that the chief writes are complete when any worker returns.

        Raises:
            UserError: A corrupt record, a checkpoint of another network, a
                full disk, or a number that is not finite.
            SystemExit: SIGTERM was received; the checkpoint is written.
        """
        training, state = self._config.training, self._state
        if self._start:
            self._start.set_weights(self._model.get_weights())
        state.restore()
        position = f"{state.progress.epoch} {state.progress.step}"
        check_agreement("checkpoint", position, self._strategy)
        # A killed run may lack the files that follow the checkpoint.
        if self._is_validated():
            self._write_epoch_files()
        with self._profiler, self._opened_step_log():
            while state.progress.epoch < training.epochs:
                if self._has_stalled():
                    break
                rate = self._optimizer.start_epoch(state.progress.epoch)
                if not state.has_tuples_of(self._task.split):
                    tuples = self._task.draw(
                        state.progress.epoch,
                        lambda photos: self._extractor.extract(
                            self._task.split, photos
                        ),
                    )
                    state.begin_epoch(
                        from_chief(tuples, self._strategy), self._task.split
                    )
                num_steps = len(state.tuples) // training.batch_tuples
                while state.progress.step < num_steps:
                    if self._is_validation_due():
                        self._validate_within()
                    self._take_steps(num_steps)
                with self._optimizer.averaged():
                    scores = self._validate()
                    scores |= self._score_benchmarks()
                row = self._training_row(num_steps, rate) | scores
                with preemption.deferred():
                    state.end_epoch(row)
                    self._save_checkpoint()
                    self._write_epoch_files()
                _LOG.info(
                    "Epoch %d of %d: %s",
                    row["epoch"],
                    training.epochs,
                    ", ".join(f"{key} {row[key]:.4g}" for key in row),
                )
        barrier(self._strategy)
        return state.progress.history

    @contextlib.contextmanager
    def _opened_step_log(self) -> Iterator[None]:
        """Lets the chief write steps.csv inside this block."""
        if not (self._epoch_files and self._config.training.log_steps):
            yield
            return
        progress = self._state.progress
        with StepLog(self._workdir, progress.epoch, progress.step) as log:
            self._step_log = log
            yield

    def _has_stalled(self) -> bool:
        """Whether `patience` epochs have ended without a better score."""
        training, progress = self._config.training, self._state.progress
        waited = epochs_since_best(progress.history, training.select_best)
        # An epoch in progress was begun with more patience.
        stalled = 0 < training.patience <= waited and not progress.step
        if stalled:
            _LOG.info(
                "Training ends after epoch %d: %s is not better than that of "
                "%d epochs ago",
                progress.epoch,
                training.select_best,
                waited,
            )
        return stalled

    def _is_validated(self) -> bool:
        """Whether the last row of the history is that of these weights."""
        history = self._state.progress.history
        return bool(history) and history[-1]["epoch"] == self._position()

    def _position(self) -> float:
        """Returns the epochs trained, with a fraction within one."""
        progress = self._state.progress
        if not progress.step:
            return progress.epoch
        num_steps = (
            len(self._state.tuples) // self._config.training.batch_tuples
        )
        return round(progress.epoch + progress.step / num_steps, 6)

    def _is_validation_due(self) -> bool:
        """Whether to validate at this step within the epoch."""
        every, step = (
            self._config.training.validate_steps,
            self._state.progress.step,
        )
        due = every and step and step % every == 0
        return bool(due) and not self._is_validated()

    def _validate_within(self) -> None:
        """Adds the row of a validation within the epoch to the history."""
        with self._optimizer.averaged():
            row = {"epoch": self._position()} | self._validate()
        with preemption.deferred():
            self._state.add_row(row)
            self._save_checkpoint()
            self._write_epoch_files()

    def _take_steps(self, num_steps: int) -> None:
        """Takes steps to the next validation, and saves a checkpoint."""
        training, progress = self._config.training, self._state.progress
        tuples, every = self._state.tuples, training.checkpoint_steps
        pipeline = PhotoPipeline(
            self._task.split,
            self._config.image,
            self._config.augmentation,
            (training.seed, progress.epoch),
        )
        batches = distribute(
            tuples[progress.step * training.batch_tuples :],
            training.batch_tuples,
            pipeline.tuples,
            self._strategy,
        )
        images_per_step = training.batch_tuples * tuples.shape[1]
        end = num_steps
        if validated := training.validate_steps:
            next_validation = (progress.step // validated + 1) * validated
            end = min(end, next_validation)
        remaining = (end - progress.step) * images_per_step
        with (
            preemption.deferred(),
            pipeline.errors_named(),
            Progress(f"Epoch {progress.epoch + 1}", remaining) as shown,
        ):
            iterator, stop = iter(batches), False
            while progress.step < end and not stop:
                before = progress.step
                step_of_run = progress.epoch * num_steps + before
                count = min(training.steps_per_call, end - before)
                for interval in filter(None, (every, training.log_steps)):
                    count = min(count, interval - before % interval)
                count = self._profiler.limit(step_of_run, count)
                started = time.monotonic()
                with self._profiler.traced(step_of_run):
                    result = self._step.run(
                        iterator,
                        tf.constant(count),
                        tf.constant(progress.loss),
                        tf.constant(preemption.requested()),
                    )
                    progress.step += int(result.steps)
                progress.loss = float(result.loss)
                progress.seconds += time.monotonic() - started
                progress.waited += float(result.waited)
                self._check_faults(result.faults.numpy())
                self._log_steps(num_steps, result.gradient_norm)
                if every and progress.step % every == 0:
                    self._save_checkpoint()
                shown.update(
                    (progress.step - before) * images_per_step,
                    f"loss {progress.loss / progress.step:.3f}",
                )
                stop = agreed_stop(bool(result.stop), self._strategy)
            self._save_checkpoint()
            if stop:
                barrier(self._strategy)

    def _log_steps(self, num_steps: int, norm: tf.Tensor) -> None:
        """Writes the row that is due after some steps, and after an epoch."""
        training, progress = self._config.training, self._state.progress
        every, step = training.log_steps, progress.step
        if not every or (step % every and step != num_steps):
            return
        now = (step, progress.loss, progress.seconds, progress.waited)
        steps, loss, seconds, waited = np.subtract(now, progress.logged)
        progress.logged = now
        if not self._step_log:
            return
        tuples = int(steps) * training.batch_tuples
        row = {
            "epoch": progress.epoch + 1,
            "step": step,
            "loss": loss / tuples,
            "learning_rate": self._optimizer.rate_of_last_step(),
            "gradient_norm": float(norm),
            **self._learned_exponent(),
            "images_per_second": tuples * self._state.tuples.shape[1] / seconds,
            "data_wait": waited / seconds,
        }
        self._step_log.write(row, progress.epoch * num_steps + step)

    def _check_faults(self, faults: np.ndarray) -> None:
        if faults.any():
            progress = self._state.progress
            first = self._step.quantities[int(np.argmax(faults > 0))]
            raise UserError(
                f"Step {progress.step} of epoch {progress.epoch + 1} gives NaN "
                f"or infinity, first in: {first}. The checkpoints before it "
                "are kept; train with a lower optimizer.learning_rate in "
                "another --workdir."
            )

    def _training_row(self, num_steps: int, rate: float) -> dict[str, float]:
        progress = self._state.progress
        num_tuples = num_steps * self._config.training.batch_tuples
        num_images = num_tuples * self._state.tuples.shape[1]
        return {
            "epoch": progress.epoch + 1,
            "train_loss": progress.loss / num_tuples,
            "learning_rate": rate,
            "images_per_second": num_images / progress.seconds,
            "data_wait": progress.waited / progress.seconds,
        }

    def _validate(self) -> dict[str, float]:
        """Scores the current weights on landmarks that are not trained on.

        Returns:
            The task's figures; "validation_map", the mean average precision of
            the Medium protocol in [0, 1]; and "p", the mean of GeM's exponents
            if they are trained.
        """
        split, truth = self._validation, self._validation_truth
        database = self._validator.database(split)
        queries = self._validator.queries(split, truth)
        scores = evaluate_descriptors(database, truth, queries).scores
        row = self._task.validate(database.descriptors)
        row["validation_map"] = scores.medium.mean_average_precision
        return row | self._learned_exponent()

    def _learned_exponent(self) -> dict[str, float]:
        for variable in self._model.trainable_variables:
            if variable.name == "p":
                return {"p": float(np.mean(variable.numpy()))}
        return {}

    def _score_benchmarks(self) -> dict[str, float]:
        """Returns the history's columns of benchmarks that are due."""
        epoch = self._state.progress.epoch + 1
        scored = self._benchmarks.score(epoch) if self._benchmarks else {}
        columns: dict[str, float] = {}
        for title, evaluation in scored.items():
            columns |= history_columns(title, evaluation.scores)
        return columns

    def _save_checkpoint(self) -> None:
        if self._step_log:
            self._step_log.flush()
        if self._epoch_files:
            self._state.save()
            if self._push:
                self._push()

    def _write_epoch_files(self) -> None:
        if self._epoch_files:
            with self._optimizer.averaged():
                self._epoch_files.on_validation(self._state.progress.history)
            if self._push:
                self._push()

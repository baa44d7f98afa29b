"""The loop: draw, train, validate, keep the best; epoch after epoch.

A custom loop, because Keras' own fit() loses steps or rescales gradients under
several replicas once the step differs from its built-in one.

A run that was killed ends with the weights of an undisturbed one: whatever an
epoch does follows from the weights at its beginning, the seed and the number of
the epoch, and whatever a step does from its place in the epoch's tuples.
"""

import pathlib
import time
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from absl import logging

from agem_tf.config import Config
from agem_tf.datasets.photo_pipeline import PhotoPipeline
from agem_tf.datasets.prepared import PreparedDataset
from agem_tf.distribution import preemption
from agem_tf.distribution.batches import distribute
from agem_tf.distribution.workers import (
    check_agreement,
    from_chief,
    is_chief,
    barrier,
)
from agem_tf.errors import UserError
from agem_tf.extraction.extractor import Extractor
from agem_tf.models import AGeM
from agem_tf.progress import Progress
from agem_tf.training.callbacks import Publisher, StepProfiler, pooling_exponent
from agem_tf.training.checkpoints import RunState
from agem_tf.training.optimizers import RuleOptimizer
from agem_tf.training.scoring_epochs import Validator
from agem_tf.training.step import TrainingStep
from agem_tf.training.tasks.task import create_task


class Trainer:
    """Trains a model in a workdir, resuming what it finds there.

    Args:
        config: a validated recipe.
        workdir: checkpoints, history and the best model go here.
        dataset: prepared photos.
        model: created under `strategy`.
        extractor: of the same model; its compiled step is shared.
        strategy: where it runs.
        profile_steps: steps to trace, counted over all epochs from 0.
    """

    def __init__(
        self,
        config: Config,
        workdir: pathlib.Path,
        dataset: PreparedDataset,
        model: AGeM,
        extractor: Extractor,
        strategy: tf.distribute.Strategy,
        profile_steps: range = range(0),
    ):
        self._config = config
        self._model, self._strategy = model, strategy
        self._extractor = extractor
        with strategy.scope():
            self._task = create_task(config, dataset, model.dimension)
            self._optimizer = RuleOptimizer(
                config.optimizer,
                [*model.trainable_variables, *self._task.variables],
            )
        self._check_batch()
        self._training_step = TrainingStep(
            config, model, self._task.loss, self._optimizer, strategy
        )
        self._validator = Validator(config, dataset, extractor, self._task)
        self._state = RunState(
            workdir,
            [*model.variables, *self._task.variables],
            self._optimizer,
            config.training.keep_checkpoints,
        )
        self._publisher = None
        if is_chief(strategy):
            self._publisher = Publisher(config, workdir, dataset, model)
        self._profiler = StepProfiler(workdir / "tensorboard", profile_steps)

    def _check_batch(self) -> None:
        batch_tuples = self._config.training.batch_tuples
        if self._task.num_tuples < batch_tuples:
            raise UserError(
                f"The training split gives {self._task.num_tuples} tuples or "
                f"lone photos, fewer than training.batch_tuples={batch_tuples};"
                " lower it."
            )

    def run(self) -> list[dict[str, float]]:
        """Trains the remaining epochs; returns the history, a dict an epoch.

        The chief writes the files; they are there when any worker returns.

        Raises:
            UserError: a corrupt record, a checkpoint of another network, a
                full disk, or a number that is not finite.
            SystemExit: SIGTERM came, and the checkpoint is written.
        """
        state = self._state
        state.restore()
        check_agreement(
            "checkpoint",
            f"{state.progress.epoch} {state.progress.step}",
            self._strategy,
        )
        # Killed between an epoch's checkpoint and the files that follow it?
        if state.progress.step == 0:
            self._publish()
        with self._profiler:
            while state.progress.epoch < self._config.training.epochs:
                self._end_epoch(self._train_epoch() | self._validate())
        barrier(self._strategy)
        return state.progress.history

    def _end_epoch(self, row: dict[str, float]) -> None:
        with preemption.deferred():
            self._state.end_epoch(row)
            self._save()
            self._publish()
        logging.info(
            "Epoch %d of %d: %s",
            row["epoch"],
            self._config.training.epochs,
            ", ".join(f"{key} {value:.4g}" for key, value in row.items()),
        )

    def _train_epoch(self) -> dict[str, float]:
        rate = self._optimizer.start_epoch(self._state.progress.epoch)
        tuples = self._epoch_tuples()
        progress = self._state.progress
        batch_tuples = self._config.training.batch_tuples
        num_steps = len(tuples) // batch_tuples
        if progress.step < num_steps:
            self._take_steps(tuples, num_steps)
        num_tuples = num_steps * batch_tuples
        return {
            "epoch": progress.epoch + 1,
            "train_loss": progress.loss / num_tuples,
            "learning_rate": rate,
            "images_per_second": (
                num_tuples * tuples.shape[1] / progress.seconds
            ),
            "data_wait": progress.waited / progress.seconds,
        }

    def _epoch_tuples(self) -> np.ndarray:
        state, split = self._state, self._task.split
        if not state.has_tuples_of(split):
            tuples = self._task.draw(
                state.progress.epoch,
                lambda indices: self._extractor.extract(split, indices),
            )
            state.begin_epoch(from_chief(tuples, self._strategy), split)
        return state.tuples

    def _take_steps(self, tuples: np.ndarray, num_steps: int) -> None:
        """Takes the epoch's remaining steps, and saves."""
        progress, training = self._state.progress, self._config.training
        pipeline = PhotoPipeline(self._task.split, self._config.image)
        dataset = distribute(
            tuples[progress.step * training.batch_tuples :],
            training.batch_tuples,
            pipeline.tuples,
            self._strategy,
        )
        images_per_step = training.batch_tuples * tuples.shape[1]
        remaining = (num_steps - progress.step) * images_per_step
        with (
            preemption.deferred(),
            pipeline.errors_named(),
            Progress(f"Epoch {progress.epoch + 1}", remaining) as shown,
        ):
            iterator = iter(dataset)
            while progress.step < num_steps and not preemption.requested():
                before = progress.step
                self._call(iterator, num_steps)
                shown.update(
                    (progress.step - before) * images_per_step,
                    f"loss {progress.loss / progress.step:.3f}",
                )
            self._save()

    def _call(self, iterator: Iterator, num_steps: int) -> None:
        """Takes the steps up to the next pause, which may be a checkpoint."""
        progress, every = (
            self._state.progress,
            self._config.training.checkpoint_steps,
        )
        step_of_run = progress.epoch * num_steps + progress.step
        count = self._steps_until_pause(num_steps)
        count = self._profiler.limit(step_of_run, count)
        started = time.monotonic()
        with self._profiler.traced(step_of_run):
            taken = self._training_step.run(
                iterator, tf.constant(count), tf.constant(progress.loss)
            )
            progress.step += int(taken.steps)
        progress.loss = float(taken.loss)
        progress.seconds += time.monotonic() - started
        progress.waited += float(taken.waited)
        self._check_finite(taken.faults.numpy())
        if every and progress.step % every == 0:
            self._save()

    def _steps_until_pause(self, num_steps: int) -> int:
        training, step = self._config.training, self._state.progress.step
        count = min(training.steps_per_call, num_steps - step)
        if training.checkpoint_steps:
            to_checkpoint = training.checkpoint_steps - (
                step % training.checkpoint_steps
            )
            count = min(count, to_checkpoint)
        return count

    def _check_finite(self, faults: np.ndarray) -> None:
        if not faults.any():
            return
        progress = self._state.progress
        first = self._training_step.quantities[int(np.argmax(faults > 0))]
        raise UserError(
            f"Step {progress.step} of epoch {progress.epoch + 1} gives NaN or "
            f"infinity, first in: {first}. The checkpoints before it are kept; "
            "train with a lower optimizer.learning_rate in another --workdir."
        )

    def _save(self) -> None:
        if self._publisher:
            self._state.save()

    def _publish(self) -> None:
        if self._publisher:
            self._publisher.publish(self._state.progress.history)

    def _validate(self) -> dict[str, float]:
        row = self._validator.run()
        exponent = pooling_exponent(self._model)
        return row if exponent is None else row | {"p": exponent}

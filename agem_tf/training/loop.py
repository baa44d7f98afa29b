"""The loop: mine, train, validate, keep the best; epoch after epoch.

A custom loop, because Keras' own fit() loses steps or rescales gradients under
several replicas once the step differs from its built-in one.
"""

import pathlib

import numpy as np
import tensorflow as tf
from absl import logging

from agem_tf import distribution
from agem_tf.config import Config
from agem_tf.data.pipelines import PhotoPipeline
from agem_tf.data.prepared import PreparedDataset
from agem_tf.errors import UserError
from agem_tf.extraction import Extractor
from agem_tf.models import AGeM
from agem_tf.pictures import evenly_spaced, load_squares
from agem_tf.progress import Progress
from agem_tf.training.checkpoints import RunState
from agem_tf.training.optimizer import RuleOptimizer
from agem_tf.training.runs import save_model
from agem_tf.training.step import TrainingStep
from agem_tf.training.summaries import Summaries, pooling_exponent
from agem_tf.training.tuples import TupleSampler
from agem_tf.training.validation import Validator
from agem_tf.training.workdir import BEST_MODEL, HISTORY, write_json

_PICTURED_PHOTOS = 4


class Trainer:
    """Trains a model in a workdir, resuming what it finds there.

    Args:
        config: a validated recipe.
        workdir: checkpoints, history and the best model go here.
        dataset: prepared photos.
        model: created under `strategy`.
        extractor: of the same model; its compiled step is shared.
        strategy: where it runs.
    """

    def __init__(
        self,
        config: Config,
        workdir: pathlib.Path,
        dataset: PreparedDataset,
        model: AGeM,
        extractor: Extractor,
        strategy: tf.distribute.Strategy,
    ):
        self._config, self._workdir = config, workdir
        self._model, self._strategy = model, strategy
        self._split = dataset.split(config.data.train_split)
        self._extractor = extractor
        self._sampler = TupleSampler(
            self._split,
            dataset.ground_truth(config.data.train_split),
            config.mining,
            config.training.seed,
        )
        if self._sampler.num_tuples < config.training.batch_tuples:
            raise UserError(
                f"The training split gives {self._sampler.num_tuples} tuples, "
                "fewer than training.batch_tuples="
                f"{config.training.batch_tuples}; lower it."
            )
        with strategy.scope():
            self._optimizer = RuleOptimizer(
                config.optimizer, model.trainable_variables
            )
        self._training_step = TrainingStep(
            config, model, self._optimizer, strategy
        )
        self._validator = Validator(config, dataset, self._extractor)
        self._state = RunState(
            workdir, model, self._optimizer, config.training.keep_checkpoints
        )
        pictured = dataset.split(config.data.validation_split)
        self._summaries = Summaries(
            workdir / "tensorboard",
            load_squares(
                pictured,
                config.image,
                evenly_spaced(len(pictured), _PICTURED_PHOTOS),
            ),
        )

    def run(self) -> list[dict[str, float]]:
        """Trains the remaining epochs; returns the history, a dict an epoch.

        Raises:
            UserError: a corrupt record, or a checkpoint of another network.
        """
        state = self._state
        state.restore()
        while state.epoch < self._config.training.epochs:
            row = self._train_epoch() | self._validate()
            state.history.append(row)
            if self._is_best(row):
                save_model(self._model, self._workdir / BEST_MODEL)
            self._summaries.write(state.epoch, row, self._model)
            write_json(self._workdir / HISTORY, state.history)
            state.epoch, state.step, state.loss = state.epoch + 1, 0, 0.0
            state.save()
            logging.info(
                "Epoch %d of %d: %s",
                state.epoch,
                self._config.training.epochs,
                ", ".join(f"{key} {value:.4g}" for key, value in row.items()),
            )
        return state.history

    def _train_epoch(self) -> dict[str, float]:
        state, training = self._state, self._config.training
        rate = self._optimizer.start_epoch(state.epoch)
        tuples = self._epoch_tuples()
        num_steps = len(tuples) // training.batch_tuples
        images_per_step = training.batch_tuples * tuples.shape[1]
        pipeline = PhotoPipeline(self._split, self._config.image)
        dataset = pipeline.tuples(
            tuples[state.step * training.batch_tuples :], training.batch_tuples
        )
        iterator = iter(distribution.distribute(dataset, self._strategy))
        with (
            pipeline.errors_named(),
            Progress(
                f"Epoch {state.epoch + 1}",
                (num_steps - state.step) * images_per_step,
            ) as progress,
        ):
            while state.step < num_steps:
                count = self._steps_until_pause(num_steps)
                self._take_steps(iterator, count)
                progress.update(
                    count * images_per_step,
                    f"loss {state.loss / state.step:.3f}",
                )
        return {
            "epoch": state.epoch + 1,
            "train_loss": state.loss / (num_steps * training.batch_tuples),
            "learning_rate": rate,
            "images_per_second": progress.rate,
        }

    def _epoch_tuples(self) -> np.ndarray:
        tuples = self._state.load_tuples()
        if tuples is None:
            self._state.step, self._state.loss = 0, 0.0
            tuples = self._sampler.draw(
                self._state.epoch,
                lambda indices: self._extractor.extract(self._split, indices),
            )
            self._state.save_tuples(tuples)
        return tuples

    def _steps_until_pause(self, num_steps: int) -> int:
        training, step = self._config.training, self._state.step
        count = min(training.steps_per_call, num_steps - step)
        if training.checkpoint_steps:
            to_checkpoint = training.checkpoint_steps - (
                step % training.checkpoint_steps
            )
            count = min(count, to_checkpoint)
        return count

    def _take_steps(self, iterator, count: int) -> None:
        loss = self._training_step.run(iterator, tf.constant(count))
        self._state.step += count
        self._state.loss += float(loss)
        every = self._config.training.checkpoint_steps
        if every and self._state.step % every == 0:
            self._state.save()

    def _validate(self) -> dict[str, float]:
        validation = self._validator.run()
        row = {
            "validation_loss": validation.loss,
            "validation_map": validation.mean_average_precision,
        }
        exponent = pooling_exponent(self._model)
        return row if exponent is None else row | {"p": exponent}

    def _is_best(self, row: dict[str, float]) -> bool:
        key = self._config.training.select_best
        scores = [past[key] for past in self._state.history]
        best = min(scores) if key.endswith("loss") else max(scores)
        return row[key] == best

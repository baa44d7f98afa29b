"""What a run shows of its finished epochs: best.keras, history.json, curves.

All of it follows from the checkpoint that ends an epoch and is written after
it; history.json last, so that it tells whether the rest is there.

A trace of a few steps, which TensorBoard's profile plugin shows.

TensorBoard: scalars of every epoch, p, and pictures of the attention.
"""

import contextlib
import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf
from absl import logging

from agem_tf.config import Config
from agem_tf.datasets.prepared import PreparedDataset
from agem_tf.models import AGeM
from agem_tf.pages.photo_pictures import (
    draw_attention,
    evenly_spaced,
    load_squares,
)
from agem_tf.training.runs import save_model
from agem_tf.training.workdir import BEST_MODEL, HISTORY, write_json

_PICTURED_PHOTOS = 4


class Publisher:
    """Writes the files of each epoch that has ended.

    Args:
        config: the recipe.
        workdir: where the files go.
        dataset: some of its validation photos are pictured.
        model: what is trained.
    """

    def __init__(
        self,
        config: Config,
        workdir: pathlib.Path,
        dataset: PreparedDataset,
        model: AGeM,
    ):
        self._workdir, self._model = workdir, model
        self._select_best = config.training.select_best
        pictured = dataset.split(config.data.validation_split)
        self._summaries = Summaries(
            workdir / "tensorboard",
            load_squares(
                pictured,
                config.image,
                evenly_spaced(len(pictured), _PICTURED_PHOTOS),
            ),
        )

    def publish(self, history: Sequence[Mapping[str, float]]) -> None:
        """Writes the files of the last epoch, unless they are there.

        Args:
            history: a dict an epoch; the model has the weights of the last.
        """
        if not history or self._published() == history:
            return
        if _is_best(history, self._select_best):
            save_model(self._model, self._workdir / BEST_MODEL)
        self._summaries.write(len(history) - 1, history[-1], self._model)
        write_json(self._workdir / HISTORY, history)

    def _published(self) -> list[dict[str, float]] | None:
        try:
            return json.loads((self._workdir / HISTORY).read_bytes())
        except (OSError, ValueError):
            return None


def _is_best(history: Sequence[Mapping[str, float]], key: str) -> bool:
    scores = [row[key] for row in history]
    best = min(scores) if key.endswith("loss") else max(scores)
    return scores[-1] == best


class StepProfiler:
    """Traces certain steps of a run; a context manager around all of them.

    Args:
        directory: what `tensorboard --logdir` is given.
        steps: counted from the first step of the first epoch.
    """

    def __init__(self, directory: pathlib.Path, steps: range):
        self._directory, self._steps = directory, steps
        self._running = False

    def limit(self, step: int, count: int) -> int:
        """Shortens `count` steps from `step` on, so that one call has either
        none of the traced steps or one alone.
        """
        if step in self._steps:
            return 1
        ahead = self._steps.start - step
        return min(count, ahead) if ahead > 0 else count

    @contextlib.contextmanager
    def traced(self, step: int) -> Iterator[None]:
        """Runs the call that begins with `step`, under the trace if wanted."""
        if step not in self._steps:
            yield
            return
        if not self._running:
            tf.profiler.experimental.start(str(self._directory))
            self._running = True
        with tf.profiler.experimental.Trace("train", step_num=step, _r=1):
            yield
        if step + 1 == self._steps.stop:
            self._stop()

    def __enter__(self) -> "StepProfiler":
        return self

    def __exit__(self, *exception: object) -> None:
        """Writes the trace of fewer steps if the run ends before."""
        self._stop()

    def _stop(self) -> None:
        if self._running:
            self._running = False
            tf.profiler.experimental.stop()
            logging.info(
                "Wrote a trace: tensorboard --logdir=%s", self._directory
            )


class Summaries:
    """Writes event files below `directory`.

    Args:
        directory: what `tensorboard --logdir` is given.
        photos: (photos, height, width, 3) uint8 whose attention is drawn.
    """

    def __init__(self, directory: pathlib.Path, photos: np.ndarray):
        self._writer = tf.summary.create_file_writer(str(directory))
        self._photos = photos

    def write(self, epoch: int, row: Mapping[str, float], model: AGeM) -> None:
        """Adds one epoch's scalars, and pictures of some epochs."""
        with self._writer.as_default(step=epoch):
            for name, value in row.items():
                tf.summary.scalar(name, value)
            # After 1, 2, 4, 8, ... epochs: two hundred times the pictures
            # would take more space than the checkpoints.
            if (epoch + 1).bit_count() == 1:
                tf.summary.image(
                    "attention",
                    np.stack(draw_attention(model, self._photos)),
                    max_outputs=len(self._photos),
                )
        self._writer.flush()


def pooling_exponent(model: AGeM) -> float | None:
    """The mean of GeM's p, or None for a pooling without one."""
    for variable in model.trainable_variables:
        if variable.name == "p":
            return float(np.mean(variable.numpy()))
    return None

"""Callbacks of the training loop: best model, TensorBoard, history, profiler.

The files of a validation follow from the checkpoint with its row and are
written after it. A run killed between the two writes them when it is resumed.
"""

import contextlib
import json
import logging
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
import tensorflow as tf

from agem_tf.config import Config
from agem_tf.datasets.prepared import PreparedDataset
from agem_tf.evaluation.results import evenly_spaced
from agem_tf.files.locations import read_file
from agem_tf.models import AGeM
from agem_tf.pages.attention import draw_attention, load_squares
from agem_tf.training.runs import save_model
from agem_tf.training.selection import History, best_first
from agem_tf.training.workdir import (
    BEST_MODEL,
    BEST_MODELS,
    HISTORY,
    write_json,
)

_LOG = logging.getLogger(__name__)

_PICTURED_PHOTOS = 4


class Callback(Protocol):
    """Writes a file after each validation; only the chief calls it."""

    def on_validation(self, history: History) -> None:
        """Writes the file of the last row of `history`."""


class EpochFiles:
    """Calls callbacks in order, then writes history.json.

    As history.json comes last, it shows that the other files are written.

    Args:
        workdir: Directory of the run.
        callbacks: What writes the other files.
    """

    def __init__(self, workdir: pathlib.Path, callbacks: Sequence[Callback]):
        self._path, self._callbacks = workdir / HISTORY, callbacks

    def on_validation(self, history: History) -> None:
        """Writes the files of the last row, unless they are there."""
        try:
            written = json.loads(read_file(self._path))
        except (OSError, ValueError):
            written = None
        if not history or written == history:
            return
        for callback in self._callbacks:
            callback.on_validation(history)
        write_json(self._path, history)


class BestModel:
    """Saves the model after a validation that is among the best so far.

    Args:
        workdir: Directory of the run.
        model: The model that is trained.
        key: Column of the history; see `selection.best_first`.
        keep: Number of the best models to keep; above 1, those besides
            best.keras are in best/, by their epoch.
    """

    def __init__(
        self, workdir: pathlib.Path, model: AGeM, key: str, keep: int = 1
    ):
        self._workdir, self._model = workdir, model
        self._key, self._keep = key, keep

    def on_validation(self, history: History) -> None:
        best = best_first(history, self._key)[: self._keep]
        last = history[-1]
        if best[0] is last:
            save_model(self._model, self._workdir / BEST_MODEL)
        if self._keep == 1:
            return
        directory = self._workdir / BEST_MODELS
        if any(row is last for row in best):
            directory.mkdir(exist_ok=True)
            save_model(self._model, directory / _name_of(last))
        kept = {_name_of(row) for row in best}
        for path in directory.glob("epoch_*.keras"):
            if path.name not in kept:
                path.unlink()


def _name_of(row: Mapping[str, float]) -> str:
    return f"epoch_{row['epoch']:g}.keras"


class TensorBoard:
    """Writes scalars after every validation, and pictures of the attention.

    Pictures are drawn after 1, 2, 4, 8, ... validations: pictures of two
    hundred would take more space than the checkpoints.

    Args:
        directory: Directory for `tensorboard --logdir`.
        model: The model that is trained.
        photos: (photos, height, width, 3) uint8 whose attention is drawn.
    """

    def __init__(
        self, directory: pathlib.Path, model: AGeM, photos: np.ndarray
    ):
        self._writer = tf.summary.create_file_writer(str(directory))
        self._model, self._photos = model, photos

    def on_validation(self, history: History) -> None:
        with self._writer.as_default(step=len(history) - 1):
            for name, value in history[-1].items():
                tf.summary.scalar(name, value)
            if len(history).bit_count() == 1:
                tf.summary.image(
                    "attention",
                    np.stack(draw_attention(self._model, self._photos)),
                    max_outputs=len(self._photos),
                )
        self._writer.flush()


def epoch_files(
    config: Config, workdir: pathlib.Path, dataset: PreparedDataset, model: AGeM
) -> EpochFiles:
    """Returns the callbacks of a run; reads the photos that are pictured."""
    pictured = dataset.split(config.data.validation_split)
    chosen = evenly_spaced(len(pictured), _PICTURED_PHOTOS)
    photos = load_squares(pictured, config.image, chosen)
    training = config.training
    return EpochFiles(
        workdir,
        [
            BestModel(workdir, model, training.select_best, training.keep_best),
            TensorBoard(workdir / "tensorboard", model, photos),
        ],
    )


class StepProfiler:
    """Traces some steps of a run for TensorBoard's profile plugin.

    A context manager around all steps: if the run ends before the last of the
    steps, the trace of those taken is written.

    Args:
        directory: Directory for `tensorboard --logdir`.
        steps: Steps to trace, counted from the first step of the first epoch.
    """

    def __init__(self, directory: pathlib.Path, steps: range):
        self._directory, self._steps = directory, steps
        self._running = False

    def limit(self, step: int, count: int) -> int:
        """Returns how many of the next `count` steps one call may take.

        A call takes one traced step, or any number of others.
        """
        if step in self._steps:
            return 1
        ahead = self._steps.start - step
        return min(count, ahead) if ahead > 0 else count

    @contextlib.contextmanager
    def traced(self, step: int) -> Iterator[None]:
        """Traces the call that begins with `step`, if it is to be traced."""
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
        self._stop()

    def _stop(self) -> None:
        if self._running:
            self._running = False
            tf.profiler.experimental.stop()
            _LOG.info("Wrote a trace: tensorboard --logdir=%s", self._directory)

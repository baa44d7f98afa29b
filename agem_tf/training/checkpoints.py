"""Checkpoints: the state from which a run resumes.

They hold the variables themselves, not the Keras objects: a checkpoint of a
model silently leaves out some of its state. Tuples, position and history are in
the same file, so that they always match the weights.
"""

import dataclasses
import json
import logging
import os
import pathlib
import re
import shutil
from collections.abc import Collection, Sequence

import keras
import numpy as np
import tensorflow as tf

from agem_tf.datasets.prepared import Split
from agem_tf.errors import UserError
from agem_tf.files.atomic_writing import flush
from agem_tf.training.optimizers import RuleOptimizer

_LOG = logging.getLogger(__name__)

_NAME = "ckpt"
_MODEL_ENTRY = "model/{}/.ATTRIBUTES/VARIABLE_VALUE"
_NO_TUPLES = np.zeros((0, 0), np.int64)


@dataclasses.dataclass
class TrainingProgress:
    """Position of a run.

    Attributes:
        epoch: 0-based epoch in progress, or the next one.
        step: Optimizer steps already taken in that epoch.
        loss: Sum of the losses of those steps.
        seconds: Duration of those steps.
        waited: Part of it in which they waited for photos.
        logged: `step`, `loss`, `seconds` and `waited` at the last row of
            steps.csv.
        photos: Fingerprint of the split that the tuples are positions in.
        history: One row per validation.
    """

    epoch: int = 0
    step: int = 0
    loss: float = 0.0
    seconds: float = 0.0
    waited: float = 0.0
    logged: Sequence[float] = (0, 0.0, 0.0, 0.0)
    photos: str = ""
    history: list[dict[str, float]] = dataclasses.field(default_factory=list)


class RunState:
    """Weights, optimizer and position of a run, saved together.

    Args:
        workdir: Directory of the run.
        variables: Variables of the network, then those trained beside it.
        optimizer: Optimizer of those that are trained.
        keep: Number of checkpoints to keep, the newest ones.

    Attributes:
        progress: Position of the run.
        tuples: (tuples, images per tuple) int64 of the epoch in progress;
            empty before they are drawn.
    """

    def __init__(
        self,
        workdir: pathlib.Path,
        variables: Sequence[keras.Variable],
        optimizer: RuleOptimizer,
        keep: int,
    ):
        self.progress, self.tuples = TrainingProgress(), _NO_TUPLES
        self._directory, self._keep = workdir / "checkpoints", keep
        with tf.device("CPU:0"):
            self._saved_progress = tf.Variable("", trainable=False)
            self._saved_tuples = tf.Variable(
                _NO_TUPLES, trainable=False, shape=(None, None)
            )
        self._checkpoint = tf.train.Checkpoint(
            model=[variable.value for variable in variables],
            optimizer=[variable.value for variable in optimizer.variables],
            progress=self._saved_progress,
            tuples=self._saved_tuples,
        )
        # TensorFlow's list of checkpoints may be damaged like any other file;
        # the file names serve as the list instead.
        (self._directory / "checkpoint").unlink(missing_ok=True)
        self._manager = tf.train.CheckpointManager(
            self._checkpoint, str(self._directory), keep, checkpoint_name=_NAME
        )

    def has_tuples_of(self, split: Split) -> bool:
        """Whether the epoch's tuples are drawn, and from the same photos."""
        return (
            len(self.tuples) > 0 and self.progress.photos == split.fingerprint
        )

    def begin_epoch(self, tuples: np.ndarray, split: Split) -> None:
        """Starts the epoch in progress with its tuples."""
        self.tuples = tuples
        self.progress = TrainingProgress(
            epoch=self.progress.epoch,
            photos=split.fingerprint,
            history=self.progress.history,
        )

    def add_row(self, row: dict[str, float]) -> None:
        """Adds the row of a validation within the epoch to the history."""
        self.progress.history = [*self.progress.history, row]

    def end_epoch(self, row: dict[str, float]) -> None:
        """Advances to the next epoch; `row` is the history of this one."""
        self.tuples = _NO_TUPLES
        self.progress = TrainingProgress(
            epoch=self.progress.epoch + 1,
            history=[*self.progress.history, row],
        )

    def restore(self) -> None:
        """Restores the newest undamaged checkpoint, if there are any.

        Raises:
            UserError: All are damaged, or it is of another network.
        """
        paths = _finished(self._directory)
        if not paths:
            return
        newest = next(filter(_is_whole, reversed(paths)), None)
        if newest is None:
            raise UserError(
                f"All checkpoints in {self._directory} are damaged; remove "
                "that directory to train from the start."
            )
        try:
            self._checkpoint.restore(str(newest)).assert_consumed()
        except (AssertionError, ValueError, tf.errors.OpError) as error:
            raise UserError(
                f"{newest} does not fit this recipe's network; choose another "
                "--workdir."
            ) from error
        self.progress = TrainingProgress(
            **json.loads(self._saved_progress.numpy())
        )
        self.tuples = self._saved_tuples.numpy()
        _LOG.info(
            "Resumed from %s: epoch %d, step %d",
            newest,
            self.progress.epoch,
            self.progress.step,
        )

    def save(self) -> None:
        """Writes a checkpoint and deletes the oldest one.

        Raises:
            UserError: It can't be written; older checkpoints are intact.
        """
        self._saved_progress.assign(
            json.dumps(dataclasses.asdict(self.progress))
        )
        self._saved_tuples.assign(self.tuples)
        try:
            path = self._manager.save()
        except tf.errors.OpError as error:
            _remove_all_but(_finished(self._directory), self._directory)
            raise UserError(
                f"No checkpoint can be written to {self._directory} "
                f"({error.message}); make room there and repeat the command: "
                "it resumes from the last one."
            ) from error
        for file in self._directory.glob(f"{pathlib.Path(path).name}.*"):
            flush(file)
        flush(self._directory)
        kept = _finished(self._directory)[-self._keep :]
        _remove_all_but(kept, self._directory)


def load_variables(
    path: str | os.PathLike, variables: Sequence[keras.Variable]
) -> None:
    """Loads the network of a checkpoint, and nothing else of it.

    Args:
        path: Path without suffix, such as RUN/checkpoints/ckpt-12.
        variables: All variables of the network.

    Raises:
        UserError: The checkpoint is damaged, or of another network.
    """
    try:
        reader = tf.train.load_checkpoint(os.fspath(path))
        for number, variable in enumerate(variables):
            variable.assign(reader.get_tensor(_MODEL_ENTRY.format(number)))
    except (tf.errors.OpError, LookupError, RuntimeError, ValueError) as error:
        raise UserError(
            f"{path} is damaged or of another network; name another checkpoint "
            "of that run."
        ) from error


def _is_whole(path: pathlib.Path) -> bool:
    """Reads all entries of a checkpoint; TensorFlow checks their checksums."""
    try:
        reader = tf.train.load_checkpoint(str(path))
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    except (tf.errors.OpError, LookupError, RuntimeError, ValueError) as error:
        _LOG.warning(
            "Checkpoint %s is damaged (%s); falling back to the one before it",
            path,
            error,
        )
        return False
    return True


def _finished(directory: pathlib.Path) -> list[pathlib.Path]:
    """The finished checkpoints, oldest first; a save writes the index last."""
    found = [
        path.with_suffix("")
        for path in directory.glob(f"{_NAME}-*.index")
        if re.fullmatch(rf"{_NAME}-\d+", path.stem)
    ]
    return sorted(found, key=lambda path: int(path.name.rpartition("-")[2]))


def _remove_all_but(
    kept: Collection[pathlib.Path], directory: pathlib.Path
) -> None:
    """Removes other checkpoints, and leftovers of killed or failed saves."""
    names = {path.name for path in kept}
    for path in directory.glob(f"{_NAME}-*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.stem not in names:
            path.unlink(missing_ok=True)

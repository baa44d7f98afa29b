"""What a run must remember to go on where it stopped.

Checkpoints hold the variables themselves, not the Keras objects: a checkpoint
of a model leaves out some of its state without saying so.
"""

import json
import pathlib

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from agem_tf import artifacts
from agem_tf.artifacts.files import load_arrays
from agem_tf.errors import UserError
from agem_tf.training.optimizer import RuleOptimizer


class RunState:
    """Weights, optimizer, position and history of a run, saved together.

    Attributes:
        epoch: 0-based epoch that is in progress or next.
        step: optimizer steps already taken in that epoch.
        loss: sum of the losses of those steps.
        history: one dict a finished epoch.
    """

    def __init__(
        self,
        workdir: pathlib.Path,
        model: keras.Model,
        optimizer: RuleOptimizer,
        keep: int,
    ):
        """Names what is saved; `restore` reads it."""
        self.epoch, self.step, self.loss = 0, 0, 0.0
        self.history: list[dict[str, float]] = []
        self._workdir = workdir
        # Strings travel inside the checkpoint, so weights and position can
        # never be of different moments.
        with tf.device("CPU:0"):
            self._progress = tf.Variable("", dtype=tf.string, trainable=False)
        self._checkpoint = tf.train.Checkpoint(
            model=[variable.value for variable in model.variables],
            optimizer=[variable.value for variable in optimizer.variables],
            progress=self._progress,
        )
        self._manager = tf.train.CheckpointManager(
            self._checkpoint, str(workdir / "checkpoints"), max_to_keep=keep
        )

    @property
    def _tuples_path(self) -> pathlib.Path:
        return self._workdir / "tuples.npz"

    def restore(self) -> None:
        """Goes on from the newest checkpoint, if there is one.

        Raises:
            UserError: it does not fit this network.
        """
        newest = self._manager.latest_checkpoint
        if newest is None:
            return
        try:
            self._checkpoint.restore(newest).assert_consumed()
        except (AssertionError, ValueError, tf.errors.OpError) as error:
            raise UserError(
                f"{newest} does not fit this recipe's network; choose another "
                "--workdir."
            ) from error
        progress = json.loads(self._progress.numpy())
        self.epoch, self.step = progress["epoch"], progress["step"]
        self.loss, self.history = progress["loss"], progress["history"]
        logging.info(
            "Resumed from %s: epoch %d, step %d", newest, self.epoch, self.step
        )

    def save(self) -> None:
        """Writes a checkpoint and drops the oldest one."""
        progress = {
            "epoch": self.epoch,
            "step": self.step,
            "loss": self.loss,
            "history": self.history,
        }
        self._progress.assign(json.dumps(progress))
        self._manager.save()

    def save_tuples(self, tuples: np.ndarray) -> None:
        """Keeps the epoch's tuples: mining again would see other weights."""
        with artifacts.atomic_file(self._tuples_path) as temporary:
            np.savez(temporary, epoch=self.epoch, tuples=tuples)

    def load_tuples(self) -> np.ndarray | None:
        """Returns the tuples of an epoch that was interrupted, or None."""
        if not self.step or not self._tuples_path.exists():
            return None
        saved = load_arrays(self._tuples_path, ("epoch", "tuples"), "remove it")
        return saved["tuples"] if saved["epoch"] == self.epoch else None

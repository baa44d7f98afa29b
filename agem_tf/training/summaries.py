"""TensorBoard: scalars of every epoch, p, and pictures of the attention."""

import pathlib
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from agem_tf.models import AGeM
from agem_tf.pictures import draw_attention


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

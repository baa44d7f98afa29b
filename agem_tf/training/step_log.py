"""Rows about the steps of a training: steps.csv, and TensorBoard's "steps".

A resumed run continues the file: rows after the checkpoint are dropped, because
their steps are taken again, and no row before it is missing, because the rows
are on the disk before a checkpoint is.
"""

import csv
import os
import pathlib
from collections.abc import Mapping
from typing import IO

import tensorflow as tf

from agem_tf.files.atomic_writing import atomic_file
from agem_tf.training.workdir import STEPS

COLUMNS = (
    "epoch",
    "step",
    "loss",
    "learning_rate",
    "gradient_norm",
    "p",
    "images_per_second",
    "data_wait",
)


class StepLog:
    """Writes rows to a workdir; a context manager that closes the file.

    Args:
        workdir: Directory of the run.
        epoch: 0-based epoch that the run continues with.
        step: Steps taken in that epoch; rows of later ones are dropped.
    """

    def __init__(self, workdir: pathlib.Path, epoch: int, step: int):
        path = workdir / STEPS
        kept = [
            row
            for row in _read_rows(path)
            if (int(row["epoch"]) - 1, int(row["step"])) <= (epoch, step)
        ]
        with atomic_file(path) as temporary, temporary.open("w") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(kept)
        self._file: IO[str] = path.open("a")
        self._writer = csv.DictWriter(self._file, COLUMNS, lineterminator="\n")
        directory = workdir / "tensorboard" / "steps"
        self._events = tf.summary.create_file_writer(str(directory))

    def write(self, row: Mapping[str, float], step_of_run: int) -> None:
        """Adds a row.

        Args:
            row: Values of `COLUMNS`; "p" only where the pooling learns it.
            step_of_run: Steps taken since the start of the run.
        """
        self._writer.writerow(row)
        with self._events.as_default(step=step_of_run):
            for name, value in row.items():
                if name not in ("epoch", "step"):
                    tf.summary.scalar(f"steps/{name}", value)

    def flush(self) -> None:
        """Forces all rows onto the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._events.flush()

    def __enter__(self) -> "StepLog":
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()
        self._events.close()


def _read_rows(path: pathlib.Path) -> list[dict[str, str]]:
    """Returns the whole rows of a file; a killed run may leave half of one."""
    if not path.exists():
        return []
    with path.open(errors="replace") as file:
        lines = [line for line in file if line.endswith("\n")]
    rows = []
    for row in csv.DictReader(lines):
        if tuple(row) != COLUMNS or None in row.values():
            continue
        if row["epoch"].isdecimal() and row["step"].isdecimal():
            rows.append(row)
    return rows

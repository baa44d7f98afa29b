"""Descriptors and ground truths from whatever files they come in.

Whoever has descriptors of a benchmark can have them scored: an array and, if
the order is not that of the ground truth, a list of names.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.errors import UserError
from agem_tf.evaluation import csv_ground_truth
from agem_tf.evaluation.benchmarks import (
    grouped_ground_truth,
    holidays_ground_truth,
    ukbench_ground_truth,
)
from agem_tf.evaluation.ground_truth import GroundTruth
from agem_tf.evaluation.published_ground_truth import load_published
from agem_tf.files.arrays import load_array, read_names
from agem_tf.files.csv_tables import csv_header

# Protocols whose ground truth follows from the photos' names.
_FROM_NAMES = {
    "holidays": holidays_ground_truth,
    "leave_one_out": grouped_ground_truth,
    "ukbench": ukbench_ground_truth,
}

# Rows looked at to tell whether descriptors have unit length.
_SAMPLE = 1000


def load_descriptors(
    path: str | os.PathLike, names: Sequence[str] | None = None
) -> DescriptorSet:
    """Loads a descriptor set, or a plain array with its names.

    Args:
        path: a directory that a `DescriptorSet` was saved to; or FILE.npy of
            (photos, dimension) L2-normalised descriptors, whose names stand in
            FILE.txt, one a line.
        names: of the rows of a FILE.npy without FILE.txt.

    Raises:
        UserError: a file is missing or damaged, does not fit the names, or
            holds no descriptors of unit length.
    """
    path = Path(path)
    if path.suffix != ".npy":
        return DescriptorSet.load(path)
    descriptors = _load_array(path)
    _check_descriptors(path, descriptors)
    listed = path.with_suffix(".txt")
    if listed.exists():
        names = read_names(listed)
    if names is None:
        raise UserError(
            f"{path} has no names; write them into {listed.name} beside it, "
            "one a line."
        )
    if len(names) != len(descriptors):
        raise UserError(
            f"{path} has {len(descriptors)} rows for {len(names)} names; write "
            f"the names of its rows into {listed.name} beside it, one a line."
        )
    return DescriptorSet(names, descriptors)


def load_distractors(path: str | os.PathLike) -> DescriptorSet:
    """Loads descriptors as `load_descriptors`; names are not needed.

    Raises:
        UserError: as `load_descriptors`.
    """
    names = None
    if Path(path).suffix == ".npy":
        rows = len(np.atleast_1d(_load_array(Path(path))))
        names = [f"distractor {row}" for row in range(rows)]
    return load_descriptors(path, names)


def load_ground_truth(path: str | os.PathLike) -> GroundTruth | None:
    """Reads a ground truth that needs no descriptors.

    Args:
        path: a benchmark's .pkl or .mat, or a .json as `GroundTruth.save`
            writes it.

    Returns:
        None of a .csv file, which `ground_truth_of` reads.

    Raises:
        UserError: the file is missing or of another form.
    """
    suffix = Path(path).suffix
    if suffix == ".csv":
        return None
    return GroundTruth.load(path) if suffix == ".json" else load_published(path)


def ground_truth_of(
    names: Sequence[str],
    protocol: str | None,
    path: str | os.PathLike | None = None,
    labels: str | os.PathLike | None = None,
) -> tuple[GroundTruth, str]:
    """Makes a ground truth for photos of these names.

    Args:
        names: of the database photos.
        protocol: tells what the names say, where there is no file.
        path: a CSV of Google Landmarks v2 or of own photos, see
            `csv_ground_truth`.
        labels: a CSV of the landmarks of the index of Google Landmarks v2,
            for its recognition solution.

    Returns:
        The ground truth, and the protocol that it is made for.

    Raises:
        UserError: the names or files don't tell what a query should find.
    """
    if path is None:
        return _from_names(names, protocol)
    columns = csv_header(path)
    if columns[:2] == ["id", "images"]:
        return csv_ground_truth.read_retrieval_solution(path, names), "gldv2"
    if columns[:2] != ["id", "landmarks"]:
        return csv_ground_truth.read_groups(path), "leave_one_out"
    if labels is None:
        raise UserError(
            f"{path} names landmarks; give --labels=FILE.csv, which tells the "
            "landmark of each database photo."
        )
    truth = csv_ground_truth.read_recognition_solution(path, labels, names)
    return truth, "gap"


def _from_names(
    names: Sequence[str], protocol: str | None
) -> tuple[GroundTruth, str]:
    if protocol not in _FROM_NAMES:
        raise UserError(
            "There is no ground truth; give --data_dir or --ground_truth, or a "
            f"protocol that reads it from the names: {', '.join(_FROM_NAMES)}."
        )
    return _FROM_NAMES[protocol](names), protocol


def _load_array(path: Path) -> np.ndarray:
    if not path.is_file():
        raise UserError(
            f"There is no file {path}; give a directory of descriptors, or "
            "FILE.npy."
        )
    return load_array(path, mmap=True)


def _check_descriptors(path: Path, descriptors: np.ndarray) -> None:
    if descriptors.ndim != 2 or descriptors.dtype.kind != "f":
        raise UserError(
            f"{path} must hold (photos, dimension) floats. Received: shape "
            f"{descriptors.shape} of {descriptors.dtype}"
        )
    lengths = np.linalg.norm(descriptors[:_SAMPLE].astype(np.float32), axis=1)
    # NaN is for the search to report, which names the photo.
    if np.any(np.abs(lengths - 1) > 0.01):
        raise UserError(
            f"{path} has rows of length {lengths.max():.3g}; descriptors are "
            "rows of unit length, one a photo: transpose or normalize them."
        )

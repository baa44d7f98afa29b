"""Ground truths that are published, or written by hand, as CSV files.

Google Landmarks v2 (https://github.com/cvdfoundation/google-landmark) names
photos by identifiers; a descriptor's name may also be a path whose file name is
the identifier. Both solutions list queries to be ignored, which are left out.
"""

import os
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np

from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth, QueryTruth
from agem_tf.files.csv_tables import csv_columns, csv_header, csv_rows

_IGNORED = "Ignored"


def read_groups(path: str | os.PathLike) -> GroundTruth:
    """Own photos in groups: each searches the others of its group.

    Args:
        path: of rows `path,landmark`, further cells and a header `path,...`
            allowed.

    Raises:
        UserError: the file is missing, or a row lacks its landmark.
    """
    rows = [cells for _, cells in csv_rows(path)]
    if rows and rows[0][0] == "path":
        rows = rows[1:]
    for row in rows:
        if len(row) < 2 or not row[1]:
            raise UserError(
                f"{path} has no landmark for {row[0]!r}; write rows "
                "path,landmark."
            )
    return GroundTruth.from_labels(
        [row[0] for row in rows], [row[1] for row in rows]
    )


def read_retrieval_solution(
    path: str | os.PathLike, database_names: Sequence[str]
) -> GroundTruth:
    """The retrieval solution of Google Landmarks v2.

    Args:
        path: of rows `id,images,Usage` under that header; images are
            identifiers separated by spaces.
        database_names: of the index photos.

    Raises:
        UserError: the file is missing or of another form, or a photo that it
            lists is not in the database.
    """
    position = _positions(database_names)
    names, queries = [], []
    for name, listed, usage in csv_columns(path, ["id", "images", "Usage"]):
        if usage == _IGNORED:
            continue
        images = listed.split()
        missing = [image for image in images if image not in position]
        if missing:
            raise UserError(
                f"{path} answers query {name!r} with {missing[0]!r}, "
                "which has no descriptor; extract the whole index."
            )
        names.append(name)
        queries.append(
            QueryTruth([position[image] for image in images], [], [])
        )
    return GroundTruth(database_names, names, queries)


def read_recognition_solution(
    path: str | os.PathLike,
    labels_path: str | os.PathLike,
    database_names: Sequence[str],
) -> GroundTruth:
    """The recognition solution of Google Landmarks v2.

    Every photo of one of a query's landmarks is a positive; queries that show
    no landmark have none.

    Args:
        path: of rows `id,landmarks,Usage` under that header; landmarks are
            separated by spaces, or there are none.
        labels_path: of the index's landmarks, under a header with "id" and
            "landmark_id" (train.csv), or `landmark_id,images` with several
            identifiers a row (train_clean.csv).
        database_names: of the index photos.

    Raises:
        UserError: a file is missing or of another form.
    """
    photos = _photos_of_landmarks(labels_path, _positions(database_names))
    names, queries = [], []
    for name, shown, usage in csv_columns(path, ["id", "landmarks", "Usage"]):
        if usage == _IGNORED:
            continue
        same = [photos.get(landmark, []) for landmark in shown.split()]
        names.append(name)
        queries.append(
            QueryTruth(
                np.unique(np.concatenate([[], *same])).astype(int), [], []
            )
        )
    return GroundTruth(database_names, names, queries)


def _photos_of_landmarks(
    path: str | os.PathLike, position: dict[str, int]
) -> dict[str, list[int]]:
    listed = "images" if "images" in csv_header(path) else "id"
    photos: dict[str, list[int]] = {}
    for landmark, names in csv_columns(path, ["landmark_id", listed]):
        found = [position[i] for i in names.split() if i in position]
        photos.setdefault(landmark, []).extend(found)
    return photos


def _positions(names: Sequence[str]) -> dict[str, int]:
    """Identifier -> index; of paths it is the name of the file."""
    return {PurePosixPath(name).stem: i for i, name in enumerate(names)}

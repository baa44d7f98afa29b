"""Ground truths that are published, or written by hand, as CSV files.

Google Landmarks v2 (https://github.com/cvdfoundation/google-landmark) names
photos by identifiers; a descriptor's name may also be a path whose file name is
the identifier. Both solutions list queries to be ignored, which are left out.
"""

import csv
import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth, QueryTruth

_IGNORED = "Ignored"


def read_groups(path: str | os.PathLike) -> GroundTruth:
    """Own photos in groups: each searches the others of its group.

    Args:
        path: of rows `path,landmark`, further cells and a header `path,...`
            allowed.

    Raises:
        UserError: the file is missing, or a row lacks its landmark.
    """
    rows = list(_rows(path))
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
    for row in _records(path, ("id", "images", "Usage")):
        if row["Usage"] == _IGNORED:
            continue
        images = row["images"].split()
        missing = [image for image in images if image not in position]
        if missing:
            raise UserError(
                f"{path} answers query {row['id']!r} with {missing[0]!r}, "
                "which has no descriptor; extract the whole index."
            )
        names.append(row["id"])
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
    for row in _records(path, ("id", "landmarks", "Usage")):
        if row["Usage"] == _IGNORED:
            continue
        same = [photos.get(name, []) for name in row["landmarks"].split()]
        names.append(row["id"])
        queries.append(
            QueryTruth(
                np.unique(np.concatenate([[], *same])).astype(int), [], []
            )
        )
    return GroundTruth(database_names, names, queries)


def columns(path: str | os.PathLike) -> list[str]:
    """The cells of the first row.

    Raises:
        UserError: the file is missing or empty.
    """
    for row in _rows(path):
        return row
    raise UserError(f"{path} is empty; give a CSV of the ground truth.")


def _photos_of_landmarks(
    path: str | os.PathLike, position: dict[str, int]
) -> dict[str, list[int]]:
    wanted = ("landmark_id", "images" if "images" in columns(path) else "id")
    photos: dict[str, list[int]] = {}
    for row in _records(path, wanted):
        found = [position[i] for i in row[wanted[1]].split() if i in position]
        photos.setdefault(row["landmark_id"], []).extend(found)
    return photos


def _positions(names: Sequence[str]) -> dict[str, int]:
    """Identifier -> index; of paths it is the name of the file."""
    return {PurePosixPath(name).stem: i for i, name in enumerate(names)}


def _records(
    path: str | os.PathLike, wanted: Sequence[str]
) -> Iterator[dict[str, str]]:
    rows = _rows(path)
    header = next(rows, [])
    if not set(wanted) <= set(header):
        raise UserError(
            f"{path} must have the columns {', '.join(wanted)}. Received: "
            f"{', '.join(header) or 'an empty file'}"
        )
    for row in rows:
        if len(row) != len(header):
            raise UserError(
                f"{path} has a row of {len(row)} instead of {len(header)} "
                f"cells, {row[0]!r}; download or write it again."
            )
        yield dict(zip(header, row, strict=True))


def _rows(path: str | os.PathLike) -> Iterator[list[str]]:
    """Yields the stripped cells of rows that are not blank."""
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            for row in csv.reader(file):
                if any(row):
                    yield [cell.strip() for cell in row]
    except OSError as error:
        raise UserError(
            f"{path} cannot be read: {error.strerror}; give a CSV file."
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"{path} is not a CSV in UTF-8 ({error}); save it as UTF-8."
        ) from error

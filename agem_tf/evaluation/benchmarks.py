"""Ground truths of benchmarks that come as names or labels, not as a file."""

from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np

from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth, QueryTruth


def holidays_ground_truth(names: Sequence[str]) -> GroundTruth:
    """The ground truth of INRIA Holidays, which its file names hold.

    Photos NNNN00 to NNNN99 show one scene, and the first of them is its query
    (1,491 photos, 500 queries). The query is left out of its own ranking: it
    is junk. See Jegou, Douze and Schmid, "Hamming embedding and weak geometric
    consistency for large scale image search", ECCV 2008.

    Args:
        names: such as "100000.jpg" or "jpg/100000", in any order.

    Raises:
        UserError: a name has no number.
    """
    numbers = np.array([_number(name) for name in names], np.int64)
    scenes = numbers // 100
    query_photos = np.flatnonzero(numbers % 100 == 0)
    queries = []
    for photo in query_photos:
        same = np.flatnonzero(scenes == scenes[photo])
        queries.append(QueryTruth(same[same != photo], [], [photo]))
    return GroundTruth(names, [names[photo] for photo in query_photos], queries)


def labelled_ground_truth(
    database_names: Sequence[str],
    database_labels: Sequence[object],
    query_names: Sequence[str],
    query_labels: Sequence[object],
    query_boxes: np.ndarray | None = None,
) -> GroundTruth:
    """Labelled queries outside a labelled database, as in INSTRE.

    INSTRE in the split of Iscen et al. (https://arxiv.org/abs/1611.05113) has
    250 objects, 1,250 queries with boxes and 27,293 database photos.

    Args:
        database_names: of the photos.
        database_labels: (photos,) what each shows.
        query_names: of the queries; none may be in the database.
        query_labels: (queries,) what each should find.
        query_boxes: (queries, 4) x1, y1, x2, y2 in pixels; by default the
            whole photos are searched for.

    Raises:
        UserError: the lengths differ, or a query is in the database.
    """
    if query_boxes is None:
        query_boxes = [None] * len(query_names)
    _check_lengths("photo", database_names, database_labels)
    _check_lengths("query", query_names, query_labels)
    _check_lengths("query", query_names, query_boxes)
    shared = set(database_names) & set(query_names)
    if shared:
        raise UserError(
            f"{len(shared)} queries are in the database, {min(shared)!r} "
            "first; take them out of it."
        )
    labels = np.asarray(database_labels)
    queries = [
        QueryTruth(np.flatnonzero(labels == label), [], [], box)
        for label, box in zip(query_labels, query_boxes, strict=True)
    ]
    return GroundTruth(database_names, query_names, queries)


def ukbench_ground_truth(names: Sequence[str]) -> GroundTruth:
    """The ground truth of UKBench: four photos in a row show one object.

    Every photo is a query and stays in the database, where it should find
    itself and the other three (10,200 photos).

    Args:
        names: such as "ukbench00123.jpg", in any order.

    Raises:
        UserError: a name has no number.
    """
    same = GroundTruth.from_labels(names, ukbench_objects(names))
    queries = [QueryTruth(query.labelled, [], []) for query in same.queries]
    return GroundTruth(names, names, queries)


def ukbench_objects(names: Sequence[str]) -> np.ndarray:
    """(photos,) int64 object of each UKBench photo.

    Raises:
        UserError: a name has no number.
    """
    return np.array([_number(name) // 4 for name in names], np.int64)


def grouped_ground_truth(names: Sequence[str]) -> GroundTruth:
    """Every photo searches the others of its folder, itself left out.

    Args:
        names: such as "old church/IMG_1.jpg"; the first folder is the group,
            as it is the landmark for `agem_tf.prepare`.

    Raises:
        UserError: a name has no folder.
    """
    paths = [PurePosixPath(name).parts for name in names]
    for name, parts in zip(names, paths, strict=True):
        if len(parts) < 2:
            raise UserError(
                f"{name!r} is in no folder, which would tell its group; give "
                "the groups as --ground_truth=FILE.csv with rows "
                "path,landmark."
            )
    return GroundTruth.from_labels(names, [parts[0] for parts in paths])


def _number(name: str) -> int:
    digits = "".join(filter(str.isdecimal, PurePosixPath(name).stem))
    if not digits:
        raise UserError(
            f"{name!r} has no number, which would tell what it shows; keep "
            "the benchmark's file names."
        )
    return int(digits)


def _check_lengths(
    meaning: str, names: Sequence[str], values: Sequence[object]
) -> None:
    if len(names) != len(values):
        raise UserError(
            f"Each {meaning} needs one label, and a box or none at all. "
            f"Received: {len(names)} names and {len(values)} labels or boxes"
        )

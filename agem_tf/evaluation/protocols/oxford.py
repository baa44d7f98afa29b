"""The protocol of one difficulty: old Oxford and Paris, Holidays, INSTRE, own
photos. They differ in their ground truths only.
"""

import os
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np

from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import (
    GroundTruth,
    QueryTruth,
    number_in_name,
)
from agem_tf.evaluation.places import Found, Places
from agem_tf.evaluation.protocols.protocol import Protocol, PublishedScores
from agem_tf.evaluation.protocols.ranked_scores import (
    CUTOFFS,
    RankedScores,
    score_rankings,
)
from agem_tf.files.csv_tables import csv_rows

# A caveat of all published scores, old and revisited.
BLURRED_FACES = (
    "Since June 2022 the photos are distributed with blurred faces, which "
    "shifts scores slightly against earlier papers."
)


def evaluate_oxford(
    ranks: np.ndarray | Places,
    ground_truth: GroundTruth,
    cutoffs: Sequence[int] = CUTOFFS,
) -> RankedScores:
    """Scores rankings as the old Oxford and Paris protocol.

    See Philbin et al., "Object retrieval with large vocabularies and fast
    spatial matching", CVPR 2007. Easy and hard photos are both positive, junk
    is removed. In those benchmarks a query's own photo is in the database and
    listed as a positive, so every query finds at least that; scores are
    therefore higher than the revisited ones.

    Args:
        ranks: (queries, photos or fewer) database indices, best first, or the
            places of the labelled photos. In a truncated ranking, positives
            that were cut off count as not found; indices beyond those of the
            ground truth are distractors.
        ground_truth: ground truth of the same queries and database.
        cutoffs: ranks, counted from 1, at which precision is measured; the
            papers give none.

    Raises:
        UserError: `ranks` does not fit the ground truth.
    """
    return score_rankings(
        ranks, ground_truth, ("easy", "hard"), ("junk",), cutoffs
    )


# mAP in percent: Oxford5k, Oxford105k, Paris6k, Paris106k.
_REPORTED = {
    "DIR": (86.1, 82.8, 94.5, 90.6),
    "DIR + QE": (87.1, 85.2, 95.3, 91.8),
    "siaMAC": (77.1, 69.5, 83.9, 76.3),
    "siaMAC + QE": (81.7, 76.6, 86.2, 79.8),
    "CONGAS": (70.8, 61.1, 67.1, 56.8),
    "LIFT": (54.0, None, 53.6, None),
    "DELF+FT+ATT": (83.8, 82.6, 85.0, 81.7),
    "DELF+FT+ATT+DIR+QE": (90.0, 88.5, 95.7, 92.8),
}


def _published(dataset: str, column: int) -> PublishedScores:
    return PublishedScores(
        dataset,
        {method: {"all": row[column]} for method, row in _REPORTED.items()},
        (
            "Queries are cropped to their boxes, as they must be here too.",
            BLURRED_FACES,
        ),
    )


class _RankedProtocol(Protocol):
    """Base of the protocols of one difficulty."""

    def score(self, found: Found, truth: GroundTruth) -> RankedScores:
        return evaluate_oxford(found.places, truth)


class OxfordProtocol(_RankedProtocol):
    """Old Oxford and Paris, and any ground truth of one difficulty."""

    name = "oxford"
    published = {
        (55, 5063, 0): _published("Oxford5k", 0),
        (55, 5063, 100_071): _published("Oxford105k", 1),
        (55, 6392, 0): _published("Paris6k", 2),
        (55, 6392, 100_071): _published("Paris106k", 3),
    }


class HolidaysProtocol(_RankedProtocol):
    """INRIA Holidays; see `holidays_ground_truth`."""

    name = "holidays"
    names_imply_truth = True

    def truth_from_names(self, names: Sequence[str]) -> GroundTruth:
        return holidays_ground_truth(names)


def holidays_ground_truth(names: Sequence[str]) -> GroundTruth:
    """Makes the ground truth of INRIA Holidays, which its file names imply.

    Photos NNNN00 to NNNN99 show one scene, and the first of them is its query
    (1,491 photos, 500 queries). The query itself is junk, so it is left out of
    its own ranking. See Jegou, Douze and Schmid, "Hamming embedding and weak
    geometric consistency for large scale image search", ECCV 2008.

    Args:
        names: photos such as "100000.jpg" or "jpg/100000", in any order.

    Raises:
        UserError: a name has no number.
    """
    numbers = np.array([number_in_name(name) for name in names], np.int64)
    scenes = numbers // 100
    query_photos = np.flatnonzero(numbers % 100 == 0)
    queries = []
    for photo in query_photos:
        same = np.flatnonzero(scenes == scenes[photo])
        queries.append(QueryTruth(same[same != photo], [], [photo]))
    return GroundTruth(names, [names[photo] for photo in query_photos], queries)


class InstreProtocol(_RankedProtocol):
    """INSTRE in the split of Iscen et al. (https://arxiv.org/abs/1611.05113).

    250 objects, 1,250 queries with boxes and 27,293 database photos.
    """

    name = "instre"


class LeaveOneOutProtocol(_RankedProtocol):
    """Every photo searches the others of its group, itself left out."""

    name = "leave_one_out"
    names_imply_truth = True

    def fits(self, truth: GroundTruth) -> bool:
        position = {name: i for i, name in enumerate(truth.database_names)}
        return all(
            np.isin(position.get(name, -1), query.junk)
            for name, query in zip(
                truth.query_names, truth.queries, strict=True
            )
        )

    def truth_from_names(self, names: Sequence[str]) -> GroundTruth:
        return grouped_ground_truth(names)

    def read_csv(
        self,
        path: str | os.PathLike,
        database_names: Sequence[str],
        labels: str | os.PathLike | None = None,
    ) -> GroundTruth:
        return read_groups(path)


def grouped_ground_truth(names: Sequence[str]) -> GroundTruth:
    """Makes the ground truth of photos that are grouped by folders.

    Args:
        names: photos such as "old church/IMG_1.jpg"; the first folder is the
            group, as it is the landmark for `agem_tf.prepare`.

    Raises:
        UserError: a name has no folder.
    """
    paths = [PurePosixPath(name).parts for name in names]
    for name, parts in zip(names, paths, strict=True):
        if len(parts) < 2:
            raise UserError(
                f"{name!r} is in no folder, which would be its group; give "
                "the groups as --ground_truth=FILE.csv with rows "
                "path,landmark."
            )
    return GroundTruth.from_labels(names, [parts[0] for parts in paths])


def read_groups(path: str | os.PathLike) -> GroundTruth:
    """Reads photos that are grouped by a CSV.

    Args:
        path: CSV file with rows `path,landmark`; further cells and a header
            `path,...` are allowed.

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

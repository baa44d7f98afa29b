"""What is missing from a download, and what that does to its ground truth."""

import os
from collections.abc import Collection, Iterable

import numpy as np
import tensorflow as tf

from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth, QueryTruth


def find_missing(paths: Iterable[str]) -> set[str]:
    """Returns the paths at which there is no file.

    Folders are listed once each, which over a network takes a thousandth of
    the time of asking for a million files.
    """
    folders: dict[str, frozenset[str]] = {}
    missing = set()
    for path in paths:
        folder, name = os.path.split(path)
        if folder not in folders:
            folders[folder] = _list(folder)
        if name not in folders[folder]:
            missing.add(path)
    return missing


def restrict(
    truth: GroundTruth, names: Collection[str]
) -> tuple[GroundTruth, dict[str, int]]:
    """Leaves photos that are not there out of a ground truth.

    Args:
        truth: of the complete dataset.
        names: of the photos that are there, of the database and queries.

    Returns:
        The ground truth of those photos, and how many "queries", and easy and
        hard "positives" of the other queries, it has lost.
    """
    kept = set(names)
    present = np.array([name in kept for name in truth.database_names], bool)
    restricted = [
        (name, query, _restrict_query(query, present))
        for name, query in zip(truth.query_names, truth.queries, strict=True)
        if name in kept
    ]
    lost = {
        "queries": len(truth.queries) - len(restricted),
        "positives": sum(
            _positives(before) - _positives(after)
            for _, before, after in restricted
        ),
    }
    return GroundTruth(
        [name for name in truth.database_names if name in kept],
        [name for name, *_ in restricted],
        [query for *_, query in restricted],
    ), lost


def _restrict_query(query: QueryTruth, present: np.ndarray) -> QueryTruth:
    position = np.cumsum(present) - 1
    sets = (query.easy, query.hard, query.junk)
    return QueryTruth(
        *(position[old[present[old]]] for old in sets), box=query.box
    )


def _positives(query: QueryTruth) -> int:
    return len(query.easy) + len(query.hard)


def _list(folder: str) -> frozenset[str]:
    try:
        return frozenset(tf.io.gfile.listdir(folder))
    except tf.errors.NotFoundError:
        return frozenset()
    except tf.errors.OpError as error:
        raise UserError(
            f"{folder} cannot be listed ({error.message}); change its "
            "permissions."
        ) from error

"""Ground truths without the photos that are missing."""

from collections.abc import Collection

import numpy as np

from agem_tf.evaluation.ground_truth import GroundTruth, QueryTruth


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

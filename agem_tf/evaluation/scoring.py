"""The scores that all protocols of ranked photos share.

Every score follows from the positions of a query's positives in its ranking.
A protocol over similarities, which need not sort the database, only has to
find the same positions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth, QueryTruth

CUTOFFS = (1, 5, 10)


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of one protocol or difficulty, all from 0 to 1.

    Attributes:
        mean_average_precision: over the queries that have positives; NaN if
            none has.
        mean_precision_at: cutoff -> mean precision, over the same queries.
        average_precisions: (queries,) float64, NaN without positives.
    """

    mean_average_precision: float
    mean_precision_at: Mapping[int, float]
    average_precisions: np.ndarray


def average_precision(positions: np.ndarray, num_positives: int) -> float:
    """The area under the precision-recall curve, by the trapezoidal rule.

    Args:
        positions: (found,) positions of the positives, from 0, rising.
        num_positives: how many there are, found or not; at least 1.

    Returns:
        From 0 to 1.
    """
    found = np.arange(len(positions))
    # Before the first photo there is no precision yet; it counts as 1.
    before = np.where(positions == 0, 1.0, found / np.maximum(positions, 1))
    after = (found + 1) / (positions + 1)
    return float(np.sum(before + after) / 2 / num_positives)


def precision_at(
    positions: np.ndarray, num_positives: int, cutoff: int
) -> float:
    """The share of positives in the first `cutoff` photos.

    After the last positive nothing is left to find, so a query with fewer
    positives is only judged up to there.

    Args:
        positions: (found,) positions of the positives, from 0, rising.
        num_positives: how many there are, found or not; at least 1.
        cutoff: at least 1.

    Returns:
        From 0 to 1.
    """
    judged = cutoff
    if len(positions) == num_positives:
        judged = min(cutoff, int(positions[-1]) + 1)
    return float(np.count_nonzero(positions < judged) / judged)


def score_rankings(
    ranks: np.ndarray,
    ground_truth: GroundTruth,
    positive_sets: Sequence[str],
    junk_sets: Sequence[str],
    cutoffs: Sequence[int] = CUTOFFS,
) -> Scores:
    """Scores rankings by the sets of a query that count for and not at all.

    Args:
        ranks: (queries, photos or fewer) database indices, best first.
        ground_truth: of the same queries and database.
        positive_sets: of "easy", "hard", "junk", what should be found.
        junk_sets: what is taken out of a ranking before positions are counted.
        cutoffs: of the precision, counted from 1.

    Raises:
        UserError: `ranks` does not fit the ground truth.
    """
    check_ranks(ranks, ground_truth)
    queries = ground_truth.queries
    average_precisions = np.full(len(queries), np.nan)
    precisions = np.full((len(queries), len(cutoffs)), np.nan)
    for row, (ranking, query) in enumerate(zip(ranks, queries, strict=True)):
        positives = union(query, positive_sets)
        count = len(positives)
        if not count:
            continue
        junk = union(query, junk_sets)
        positions = _positions(ranking, positives, junk)
        average_precisions[row] = average_precision(positions, count)
        precisions[row] = [
            precision_at(positions, count, cutoff) for cutoff in cutoffs
        ]
    means = [mean_of_known(column) for column in precisions.T]
    return Scores(
        mean_average_precision=mean_of_known(average_precisions),
        mean_precision_at=dict(zip(cutoffs, means, strict=True)),
        average_precisions=average_precisions,
    )


def union(query: QueryTruth, sets: Sequence[str]) -> np.ndarray:
    """Database indices of several sets of a query."""
    return np.concatenate([getattr(query, name) for name in sets])


def mean_of_known(values: np.ndarray) -> float:
    """The mean without NaN; NaN, but no warning, if nothing else is there."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def check_ranks(ranks: np.ndarray, ground_truth: GroundTruth) -> None:
    """Refuses rankings of other queries or of a smaller database.

    Raises:
        UserError: the shape is not (queries, photos or fewer).
    """
    queries = len(ground_truth.queries)
    photos = len(ground_truth.database_names)
    if ranks.ndim != 2 or len(ranks) != queries or ranks.shape[1] > photos:
        raise UserError(
            f"The ground truth has {queries} queries and {photos} database "
            f"photos, the ranking has shape {ranks.shape}; rank the photos of "
            "this ground truth."
        )


def _positions(
    ranking: np.ndarray, positives: np.ndarray, junk: np.ndarray
) -> np.ndarray:
    """Positions of the positives in the ranking without junk, from 0."""
    is_positive = np.isin(ranking, positives)
    is_junk = np.isin(ranking, junk)
    positions = np.flatnonzero(is_positive)
    return positions - np.cumsum(is_junk)[positions]

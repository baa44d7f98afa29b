"""Retrieval scores: ranks and ground truth in, named results out.

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

# Difficulty -> which sets of a query are positive, and which are junk.
_DIFFICULTIES = {
    "easy": (("easy",), ("junk", "hard")),
    "medium": (("easy", "hard"), ("junk",)),
    "hard": (("hard",), ("junk", "easy")),
}


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of one difficulty, all from 0 to 1.

    Attributes:
        mean_average_precision: over the queries that have positives; NaN if
            none has.
        mean_precision_at: cutoff -> mean precision, over the same queries.
        average_precisions: (queries,) float64, NaN without positives.
    """

    mean_average_precision: float
    mean_precision_at: Mapping[int, float]
    average_precisions: np.ndarray


@dataclass(frozen=True)
class RevisitedScores:
    """Scores of the revisited Oxford and Paris protocol.

    Attributes:
        easy: easy photos are positive, hard ones junk.
        medium: easy and hard photos are positive.
        hard: hard photos are positive, easy ones junk.
    """

    easy: Scores
    medium: Scores
    hard: Scores


def evaluate_revisited(
    ranks: np.ndarray,
    ground_truth: GroundTruth,
    cutoffs: Sequence[int] = CUTOFFS,
) -> RevisitedScores:
    """Scores rankings as Radenovic et al. (https://arxiv.org/abs/1803.11285).

    Junk photos are taken out of a ranking before positions are counted.

    Args:
        ranks: (queries, photos or fewer) database indices, best first. In a
            truncated ranking, positives that were cut off count as not found.
        ground_truth: of the same queries and database.
        cutoffs: of the precision, counted from 1.

    Raises:
        UserError: `ranks` does not fit the ground truth.
    """
    _check_ranks(ranks, ground_truth)
    return RevisitedScores(
        **{
            name: _score(
                ranks,
                [_union(query, positive) for query in ground_truth.queries],
                [_union(query, junk) for query in ground_truth.queries],
                cutoffs,
            )
            for name, (positive, junk) in _DIFFICULTIES.items()
        }
    )


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


def _score(
    ranks: np.ndarray,
    positives: Sequence[np.ndarray],
    junk: Sequence[np.ndarray],
    cutoffs: Sequence[int],
) -> Scores:
    average_precisions = np.full(len(positives), np.nan)
    precisions = np.full((len(positives), len(cutoffs)), np.nan)
    for query, ranking in enumerate(ranks):
        count = len(positives[query])
        if not count:
            continue
        positions = _positions(ranking, positives[query], junk[query])
        average_precisions[query] = average_precision(positions, count)
        precisions[query] = [
            precision_at(positions, count, cutoff) for cutoff in cutoffs
        ]
    means = [_mean(column) for column in precisions.T]
    return Scores(
        mean_average_precision=_mean(average_precisions),
        mean_precision_at=dict(zip(cutoffs, means, strict=True)),
        average_precisions=average_precisions,
    )


def _positions(
    ranking: np.ndarray, positives: np.ndarray, junk: np.ndarray
) -> np.ndarray:
    """Positions of the positives in the ranking without junk, from 0."""
    is_positive = np.isin(ranking, positives)
    is_junk = np.isin(ranking, junk)
    positions = np.flatnonzero(is_positive)
    return positions - np.cumsum(is_junk)[positions]


def _mean(values: np.ndarray) -> float:
    """The mean without NaN; NaN, but no warning, if nothing else is there."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def _union(query: QueryTruth, sets: Sequence[str]) -> np.ndarray:
    return np.concatenate([getattr(query, name) for name in sets])


def _check_ranks(ranks: np.ndarray, ground_truth: GroundTruth) -> None:
    queries = len(ground_truth.queries)
    photos = len(ground_truth.database_names)
    if ranks.ndim != 2 or len(ranks) != queries or ranks.shape[1] > photos:
        raise UserError(
            f"The ground truth has {queries} queries and {photos} database "
            f"photos, the ranking has shape {ranks.shape}; rank the photos of "
            "this ground truth."
        )

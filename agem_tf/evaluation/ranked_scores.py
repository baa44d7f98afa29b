"""The scores that all protocols of ranked photos share.

Every score follows from the places of a query's positives and junk photos, so
that a million other photos need not be ranked; see `places`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from agem_tf.evaluation.ground_truth import GroundTruth, QueryTruth
from agem_tf.evaluation.places import Places

CUTOFFS = (1, 5, 10)
RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of one protocol or difficulty, all from 0 to 1.

    Attributes:
        mean_average_precision: over the queries that have positives; NaN if
            none has.
        mean_precision_at: cutoff -> mean precision, over the same queries.
        average_precisions: (queries,) float64, NaN without positives.
        precisions_at: cutoff -> (queries,) float64, likewise.
        precision_at_recall: (101,) mean over the same queries of the best
            precision at a recall of 0, 0.01, ... 1 or more.
    """

    mean_average_precision: float
    mean_precision_at: Mapping[int, float]
    average_precisions: np.ndarray
    precisions_at: Mapping[int, np.ndarray]
    precision_at_recall: np.ndarray


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


def precision_at_recall(
    positions: np.ndarray, num_positives: int
) -> np.ndarray:
    """The best precision at each recall of `RECALLS` or beyond.

    Args:
        positions: (found,) positions of the positives, from 0, rising.
        num_positives: how many there are, found or not; at least 1.

    Returns:
        (101,) float64, falling; 0 where so many are never found.
    """
    found = np.arange(1, len(positions) + 1)
    precisions = found / (positions + 1)
    best = np.maximum.accumulate(precisions[::-1])[::-1]
    # Rounded, for 0.07 * 100 is a little more than 7.
    needed = np.ceil(np.round(RECALLS * num_positives, 9)).astype(int)
    return np.append(best, 0.0)[
        np.minimum(np.maximum(needed - 1, 0), len(best))
    ]


def score_rankings(
    ranks: np.ndarray | Places,
    ground_truth: GroundTruth,
    positive_sets: Sequence[str],
    junk_sets: Sequence[str],
    cutoffs: Sequence[int] = CUTOFFS,
) -> Scores:
    """Scores rankings by the sets of a query that count for and not at all.

    Args:
        ranks: (queries, photos or fewer) database indices, best first, or the
            places of the labelled photos.
        ground_truth: of the same queries and database.
        positive_sets: of "easy", "hard", "junk", what should be found.
        junk_sets: what is taken out of a ranking before positions are counted.
        cutoffs: of the precision, counted from 1.

    Raises:
        UserError: `ranks` does not fit the ground truth.
    """
    queries = len(ground_truth.queries)
    average_precisions = np.full(queries, np.nan)
    precisions = np.full((len(cutoffs), queries), np.nan)
    curves = np.full((queries, len(RECALLS)), np.nan)
    found = positions_found(ranks, ground_truth, positive_sets, junk_sets)
    for query, (positions, count) in enumerate(found):
        if not count:
            continue
        average_precisions[query] = average_precision(positions, count)
        precisions[:, query] = [
            precision_at(positions, count, cutoff) for cutoff in cutoffs
        ]
        curves[query] = precision_at_recall(positions, count)
    means = [mean_of_known(row) for row in precisions]
    return Scores(
        mean_average_precision=mean_of_known(average_precisions),
        mean_precision_at=dict(zip(cutoffs, means, strict=True)),
        average_precisions=average_precisions,
        precisions_at=dict(zip(cutoffs, precisions, strict=True)),
        precision_at_recall=np.array([mean_of_known(c) for c in curves.T]),
    )


def positions_found(
    ranks: np.ndarray | Places,
    ground_truth: GroundTruth,
    positive_sets: Sequence[str] = ("easy", "hard"),
    junk_sets: Sequence[str] = ("junk",),
) -> Iterator[tuple[np.ndarray, int]]:
    """Yields per query where its positives are, once junk is taken out.

    A photo that a ranking lists again is wrong there, but keeps its position.

    Args:
        ranks: (queries, photos or fewer) database indices, best first, or the
            places of the labelled photos.
        ground_truth: of the same queries and database.
        positive_sets: of "easy", "hard", "junk", what should be found.
        junk_sets: what is taken out of a ranking before positions are counted.

    Yields:
        (found,) positions from 0, rising, and how many positives there are.

    Raises:
        UserError: `ranks` does not fit the ground truth.
    """
    if not isinstance(ranks, Places):
        ranks = Places.in_rankings(ranks, ground_truth)
    for photos, positions, query in zip(
        ranks.photos, ranks.positions, ground_truth.queries, strict=True
    ):
        positives = union(query, positive_sets)
        junk_before = np.cumsum(np.isin(photos, union(query, junk_sets)))
        distinct, first = np.unique(photos, return_index=True)
        first = np.sort(first[np.isin(distinct, positives)])
        yield positions[first] - junk_before[first], len(positives)


def union(query: QueryTruth, sets: Sequence[str]) -> np.ndarray:
    """Database indices of several sets of a query."""
    return np.concatenate([getattr(query, name) for name in sets])


def mean_of_known(values: np.ndarray) -> float:
    """The mean without NaN; NaN, but no warning, if nothing else is there."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")

"""Average precision, precision at k and precision at recall of rankings.

Every score follows from the places of a query's positives and junk photos, so
a million other photos need not be ranked; see `places`.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from agem_tf.evaluation.ground_truth import GroundTruth
from agem_tf.evaluation.places import Places
from agem_tf.evaluation.protocols.protocol import (
    WHOLE,
    Part,
    ProtocolScores,
)

CUTOFFS = (1, 5, 10)
RECALLS = np.linspace(0, 1, 101)


@dataclasses.dataclass(frozen=True, eq=False)
class RankedScores(ProtocolScores):
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

    def parts(self) -> dict[str, Part]:
        means = {f"mp@{k}": mean for k, mean in self.mean_precision_at.items()}
        rows = {f"p@{k}": values for k, values in self.precisions_at.items()}
        part = Part(
            {"map": self.mean_average_precision, **means},
            {"ap": self.average_precisions, **rows},
            {"recall": RECALLS, "precision": self.precision_at_recall},
        )
        return {WHOLE: part}


def average_precision(positions: np.ndarray, num_positives: int) -> float:
    """Area under the precision-recall curve, by the trapezoidal rule.

    Args:
        positions: (found,) positions of the positives, from 0, rising.
        num_positives: number of positives, found or not; at least 1.

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
    """Share of positives among the first `cutoff` photos.

    After the last positive nothing is left to find, so a query with fewer
    positives is judged only up to there.

    Args:
        positions: (found,) positions of the positives, from 0, rising.
        num_positives: number of positives, found or not; at least 1.
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
    """Best precision at each recall of `RECALLS` or higher.

    Args:
        positions: (found,) positions of the positives, from 0, rising.
        num_positives: number of positives, found or not; at least 1.

    Returns:
        (101,) float64, falling; 0 at a recall that is never reached.
    """
    found = np.arange(1, len(positions) + 1)
    precisions = found / (positions + 1)
    best = np.maximum.accumulate(precisions[::-1])[::-1]
    # Rounded, because 0.07 * 100 is a little more than 7.
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
) -> RankedScores:
    """Scores rankings, given which sets are positive and which are junk.

    Args:
        ranks: (queries, photos or fewer) database indices, best first, or the
            places of the labelled photos.
        ground_truth: ground truth of the same queries and database.
        positive_sets: which of "easy", "hard" and "junk" should be found.
        junk_sets: which are removed from a ranking before positions are
            counted.
        cutoffs: ranks, counted from 1, at which precision is measured.

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
    return RankedScores(
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
    """Yields the positions of each query's positives, junk removed.

    A photo that is listed again counts as wrong, but keeps its position.

    Args:
        ranks: (queries, photos or fewer) database indices, best first, or the
            places of the labelled photos.
        ground_truth: ground truth of the same queries and database.
        positive_sets: which of "easy", "hard" and "junk" should be found.
        junk_sets: which are removed from a ranking before positions are
            counted.

    Yields:
        (found,) positions from 0, rising, and the number of positives.

    Raises:
        UserError: `ranks` does not fit the ground truth.
    """
    if not isinstance(ranks, Places):
        ranks = Places.in_rankings(ranks, ground_truth)
    for photos, positions, query in zip(
        ranks.photos, ranks.positions, ground_truth.queries, strict=True
    ):
        positives, junk = (
            np.concatenate([getattr(query, name) for name in sets])
            for sets in (positive_sets, junk_sets)
        )
        junk_before = np.cumsum(np.isin(photos, junk))
        distinct, first = np.unique(photos, return_index=True)
        first = np.sort(first[np.isin(distinct, positives)])
        yield positions[first] - junk_before[first], len(positives)


def mean_of_known(values: np.ndarray) -> float:
    """Mean without NaN; NaN, but no warning, if all values are NaN."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")

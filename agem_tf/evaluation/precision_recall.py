"""Precision and recall of all queries under one threshold, as in DELF.

A mean of average precisions does not tell whether one threshold serves every
query, nor punishes answers to a query that has none.
"""

from dataclasses import dataclass

import numpy as np

from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth
from agem_tf.evaluation.places import check_ranks


@dataclass(frozen=True, eq=False)
class PrecisionRecall:
    """A curve with one point per distinct score.

    Attributes:
        thresholds: (points,) scores, falling; a photo is retrieved if its
            score is at least the threshold.
        precision: (points,) from 0 to 1.
        recall: (points,) from 0 to 1, rising; NaN if no query has positives.
    """

    thresholds: np.ndarray
    precision: np.ndarray
    recall: np.ndarray

    @property
    def area(self) -> float:
        """The area under the curve as steps, from 0 to 1."""
        gains = np.diff(self.recall, prepend=0)
        return float(np.sum(gains * self.precision))

    def recall_at(self, precision: float) -> float:
        """The most recall that a threshold of such precision gives, or 0."""
        precise = self.precision >= precision
        return float(np.max(self.recall[precise], initial=0))


def precision_recall(
    ranks: np.ndarray, scores: np.ndarray, ground_truth: GroundTruth
) -> PrecisionRecall:
    """Pools the answers to all queries, as Noh et al.

    PRE = sum_q |TP_q| / sum_q |R_q| and REC = sum_q |TP_q| / sum_q |M_q|, over
    the retrieved photos R_q, the positives M_q, and TP_q, which are both
    (https://arxiv.org/abs/1612.06321). A query without positives counts: what
    is retrieved for it is wrong.

    Args:
        ranks: (queries, photos or fewer) database indices; positives that
            were cut off count as not found.
        scores: (queries, same number) of those photos, such as geometric
            inliers; -infinity for what is never retrieved.
        ground_truth: of the same queries and database; easy and hard photos
            are positive, junk counts neither for nor against.

    Raises:
        UserError: `ranks` does not fit the ground truth, or `scores` does not
            fit `ranks` or holds NaN or +infinity.
    """
    check_ranks(ranks, ground_truth)
    scores = np.asarray(scores, np.float64)
    if scores.shape != ranks.shape or not np.all(scores < np.inf):
        raise UserError(
            f"`scores` must be numbers of shape {ranks.shape}, neither NaN nor "
            f"infinity. Received: shape {scores.shape}"
        )
    right, counted = _judge(ranks, ground_truth)
    counted &= scores > -np.inf
    order = np.argsort(-scores[counted], kind="stable")
    ordered = scores[counted][order]
    true = np.cumsum(right[counted][order])
    # Equal scores pass a threshold together: a point only after the last one.
    ends = np.flatnonzero(np.diff(ordered, append=-np.inf))
    positives = sum(len(query.positives) for query in ground_truth.queries)
    return PrecisionRecall(
        thresholds=ordered[ends],
        precision=true[ends] / (ends + 1),
        recall=true[ends] / (positives or np.nan),
    )


def _judge(
    ranks: np.ndarray, ground_truth: GroundTruth
) -> tuple[np.ndarray, np.ndarray]:
    """Of each ranked photo, whether it is positive and whether it counts."""
    pairs = list(zip(ranks, ground_truth.queries, strict=True))
    right = [np.isin(row, q.positives) for row, q in pairs]
    counted = [~np.isin(row, q.junk) for row, q in pairs]
    shape = ranks.shape
    return np.reshape(right, shape), np.reshape(counted, shape)

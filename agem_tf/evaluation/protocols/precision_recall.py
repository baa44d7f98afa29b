"""Precision and recall of all queries under one threshold, as in DELF.

A mean of average precisions does not show whether one threshold serves every
query, nor does it penalize answers to queries without positives.
"""

import dataclasses

import numpy as np

from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth
from agem_tf.evaluation.places import Found, check_ranks
from agem_tf.evaluation.protocols.protocol import (
    WHOLE,
    Part,
    Protocol,
    ProtocolScores,
)


@dataclasses.dataclass(frozen=True, eq=False)
class PrecisionRecall(ProtocolScores):
    """Precision-recall curve with one point per distinct score.

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
        """Area under the curve as steps, from 0 to 1."""
        gains = np.diff(self.recall, prepend=0)
        return float(np.sum(gains * self.precision))

    def recall_at(self, precision: float) -> float:
        """Highest recall at which the precision is at least this, or 0."""
        precise = self.precision >= precision
        return float(np.max(self.recall[precise], initial=0))

    def parts(self) -> dict[str, Part]:
        part = Part(
            {
                "area": self.area,
                "recall@p90": self.recall_at(0.9),
                "recall@p50": self.recall_at(0.5),
            },
            curve={
                "recall": self.recall,
                "precision": self.precision,
                "threshold": self.thresholds,
            },
        )
        return {WHOLE: part}


class PrecisionRecallProtocol(Protocol):
    """The answers to all queries in one list; see `precision_recall`."""

    name = "precision_recall"

    def score(self, found: Found, truth: GroundTruth) -> PrecisionRecall:
        return precision_recall(found.ranks, found.similarities, truth)


def precision_recall(
    ranks: np.ndarray, scores: np.ndarray, ground_truth: GroundTruth
) -> PrecisionRecall:
    """Pools the answers to all queries, as Noh et al.

    PRE = sum_q |TP_q| / sum_q |R_q| and REC = sum_q |TP_q| / sum_q |M_q|, over
    the retrieved photos R_q, the positives M_q, and TP_q, which are both
    (https://arxiv.org/abs/1612.06321). A query without positives counts:
    whatever is retrieved for it is wrong.

    Args:
        ranks: (queries, photos or fewer) database indices; positives that
            were cut off count as not found.
        scores: (queries, same number) scores of those photos, for example
            numbers of geometric inliers; -infinity if never retrieved.
        ground_truth: ground truth of the same queries and database; easy and
            hard photos are positive, junk counts neither for nor against.

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
    pairs = list(zip(ranks, ground_truth.queries, strict=True))
    right = np.reshape(
        [np.isin(row, query.positives) for row, query in pairs], ranks.shape
    )
    counted = np.reshape(
        [~np.isin(row, query.junk) for row, query in pairs], ranks.shape
    )
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

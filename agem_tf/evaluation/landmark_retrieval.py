"""The Google Landmarks v2 score of retrieval.

See Weyand et al. (https://arxiv.org/abs/2004.01804).
"""

from dataclasses import dataclass

import numpy as np

from agem_tf.evaluation.ground_truth import GroundTruth
from agem_tf.evaluation.places import Places
from agem_tf.evaluation.ranked_scores import mean_of_known, positions_found

TOP = 100


@dataclass(frozen=True, eq=False)
class LandmarkRetrievalScores:
    """mAP@100, from 0 to 1.

    Attributes:
        mean_average_precision: over the queries that have positives; NaN if
            none has.
        average_precisions: (queries,) float64, NaN without positives.
    """

    mean_average_precision: float
    average_precisions: np.ndarray


def evaluate_landmark_retrieval(
    ranks: np.ndarray | Places, ground_truth: GroundTruth, top: int = TOP
) -> LandmarkRetrievalScores:
    """Scores rankings by AP@100 = (1 / min(m, 100)) sum_k P(k) rel(k).

    Not the trapezoidal rule of Oxford and Paris. A photo that is listed again
    is wrong there, but keeps its position. The published ground truth lists
    only queries with positives, and an unanswered one counts as 0.

    Args:
        ranks: (queries, photos or fewer) database indices, best first, -1
            where a list ends early; or the places of the labelled photos.
        ground_truth: of the same queries and database; easy and hard photos
            are positive, junk is taken out of a ranking.
        top: photos of a ranking that count.

    Raises:
        UserError: `ranks` does not fit the ground truth.
    """
    scores = np.array(
        [
            _truncated_average_precision(positions, count, top)
            for positions, count in positions_found(ranks, ground_truth)
        ]
    )
    return LandmarkRetrievalScores(mean_of_known(scores), scores)


def _truncated_average_precision(
    positions: np.ndarray, num_positives: int, top: int
) -> float:
    if not num_positives:
        return float("nan")
    counted = positions[positions < top]
    precisions = np.arange(1, len(counted) + 1) / (counted + 1)
    return precisions.sum() / min(num_positives, top)

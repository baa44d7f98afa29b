"""The Google Landmarks v2 scores of retrieval and of recognition.

See Weyand et al. (https://arxiv.org/abs/2004.01804).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth
from agem_tf.evaluation.scoring import check_ranks, mean_of_known, union

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
    ranks: np.ndarray, ground_truth: GroundTruth, top: int = TOP
) -> LandmarkRetrievalScores:
    """Scores rankings by AP@100 = (1 / min(m, 100)) sum_k P(k) rel(k).

    Not the trapezoidal rule of Oxford and Paris. A photo that is listed again
    is wrong there, but keeps its position. The published ground truth lists
    only queries with positives, and an unanswered one counts as 0.

    Args:
        ranks: (queries, photos or fewer) database indices, best first, -1
            where a list ends early.
        ground_truth: of the same queries and database; easy and hard photos
            are positive, junk is taken out of a ranking.
        top: photos of a ranking that count.

    Raises:
        UserError: `ranks` does not fit the ground truth.
    """
    check_ranks(ranks, ground_truth)
    scores = np.array(
        [
            _truncated_average_precision(
                ranking[~np.isin(ranking, query.junk)][:top],
                union(query, ("easy", "hard")),
                top,
            )
            for ranking, query in zip(ranks, ground_truth.queries, strict=True)
        ]
    )
    return LandmarkRetrievalScores(mean_of_known(scores), scores)


def global_average_precision(
    predictions: Sequence[object],
    confidences: np.ndarray,
    landmarks: Sequence[Collection[object]],
) -> float:
    """GAP, or micro-AP: (1 / M) sum_i P(i) rel(i) over all predictions.

    One list over all queries, by falling confidence, so that a prediction for
    a photo without a landmark costs precision. Equal confidences keep the
    order of the queries; sort them by identifier for Kaggle's convention.

    Args:
        predictions: (queries,) predicted landmark, or None for no answer.
        confidences: (queries,) of the predictions, of any scale.
        landmarks: (queries,) the true landmarks of each, empty if there are
            none; M counts the others.

    Returns:
        From 0 to 1; NaN if no query has a landmark.

    Raises:
        UserError: the lengths differ, or a confidence is NaN.
    """
    confidences = np.asarray(confidences, np.float64)
    _check_predictions(predictions, confidences, landmarks)
    answered = np.flatnonzero([label is not None for label in predictions])
    order = np.argsort(-confidences[answered], kind="stable")
    right = np.array(
        [predictions[i] in landmarks[i] for i in answered[order]], bool
    )
    num_landmarks = sum(1 for labels in landmarks if len(labels))
    if not num_landmarks:
        return float("nan")
    return float(_precisions(right)[right].sum() / num_landmarks)


def _truncated_average_precision(
    ranking: np.ndarray, positives: np.ndarray, top: int
) -> float:
    if not positives.size:
        return float("nan")
    _, first = np.unique(ranking, return_index=True)
    right = np.zeros(len(ranking), bool)
    right[first] = np.isin(ranking[first], positives)
    return _precisions(right)[right].sum() / min(len(positives), top)


def _precisions(right: np.ndarray) -> np.ndarray:
    """The share of right answers up to each position."""
    return np.cumsum(right) / np.arange(1, len(right) + 1)


def _check_predictions(
    predictions: Sequence[object],
    confidences: np.ndarray,
    landmarks: Sequence[Collection[object]],
) -> None:
    if not len(predictions) == len(confidences) == len(landmarks):
        raise UserError(
            "Each query needs a prediction, a confidence and its landmarks. "
            f"Received: {len(predictions)} predictions, {len(confidences)} "
            f"confidences, {len(landmarks)} landmarks"
        )
    unknown = np.flatnonzero(np.isnan(confidences))
    if unknown.size:
        raise UserError(
            f"The confidence of prediction {unknown[0]} is NaN; check the "
            "model that made it."
        )

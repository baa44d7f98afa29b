"""The score of telling landmarks apart, and photos without any.

A query is answered with its most similar photo; whether to trust the answer
is one threshold for all queries. See Weyand et al.
(https://arxiv.org/abs/2004.01804).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth
from agem_tf.evaluation.places import check_ranks


@dataclass(frozen=True, eq=False)
class RecognitionScores:
    """GAP of the most similar photos.

    Attributes:
        global_average_precision: from 0 to 1; NaN if no query has positives.
        right: (queries,) bool, whether the answer is a positive.
        confidences: (queries,) float64; NaN without an answer.
    """

    global_average_precision: float
    right: np.ndarray
    confidences: np.ndarray


def evaluate_recognition(
    ranks: np.ndarray, similarities: np.ndarray, ground_truth: GroundTruth
) -> RecognitionScores:
    """Scores the first photo of each ranking, by `global_average_precision`.

    Junk is skipped. Queries without positives show no landmark; any answer to
    them is wrong, and should have little confidence.

    Args:
        ranks: (queries, photos or fewer) database indices, best first, -1
            where a list ends early.
        similarities: (queries, same number) of those photos; that of the
            answer is its confidence.
        ground_truth: of the same queries; easy and hard photos show the
            query's landmark.

    Raises:
        UserError: `ranks` does not fit the ground truth.
    """
    check_ranks(ranks, ground_truth)
    answers: list[object] = [None] * len(ranks)
    confidences = np.full(len(ranks), np.nan)
    for place, query in enumerate(ground_truth.queries):
        is_answer = ~np.isin(ranks[place], [-1, *query.junk])
        counted = np.flatnonzero(is_answer)
        if counted.size:
            answers[place] = ranks[place, counted[0]]
            confidences[place] = similarities[place, counted[0]]
    landmarks = [set(q.positives.tolist()) for q in ground_truth.queries]
    score = global_average_precision(
        answers, np.nan_to_num(confidences), landmarks
    )
    right = [a in own for a, own in zip(answers, landmarks, strict=True)]
    return RecognitionScores(score, np.array(right, bool), confidences)


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
    precisions = np.cumsum(right) / np.arange(1, len(right) + 1)
    num_landmarks = sum(1 for labels in landmarks if len(labels))
    if not num_landmarks:
        return float("nan")
    return float(precisions[right].sum() / num_landmarks)


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

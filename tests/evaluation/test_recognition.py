"""The recognition score against worked examples.

The first is that of Google Landmarks v2's own metrics_test.py
(https://github.com/tensorflow/models, research/delf).
"""

import numpy as np
import pytest

from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth, QueryTruth
from agem_tf.evaluation.recognition import (
    evaluate_recognition,
    global_average_precision,
)


def test_recognition_by_the_published_example():
    score = global_average_precision(
        [None, 0, 1, 150, None],
        [0, 0.01, 10, 15, 0],
        [{0, 12}, {100, 200, 300}, {1}, (), ()],
    )
    assert score == pytest.approx(0.166667, abs=1e-6)


def test_equal_confidences_keep_the_order_of_the_queries():
    right_last = global_average_precision([7, 7], [1, 1], [{8}, {7}])
    right_first = global_average_precision([7, 7], [1, 1], [{7}, {8}])
    assert (right_last, right_first) == (0.25, 0.5)


def test_recognition_without_landmarks_has_no_score():
    assert np.isnan(global_average_precision([1], [0.5], [()]))
    assert global_average_precision([None], [0.5], [{1}]) == 0


def test_faulty_predictions_are_refused():
    with pytest.raises(UserError, match="prediction 1 is NaN"):
        global_average_precision([1, 1], [0.5, np.nan], [{1}, {1}])
    with pytest.raises(UserError, match="2 predictions, 1 confidences"):
        global_average_precision([1, 1], [0.5], [{1}, {1}])


@pytest.fixture
def truth():
    """q2 shows no landmark."""
    return GroundTruth(
        list("abcdef"),
        ["q0", "q1", "q2"],
        [
            QueryTruth([0], [2], [1]),
            QueryTruth([4], [], []),
            QueryTruth([], [], [5]),
        ],
    )


def test_the_most_similar_photo_answers(truth):
    """By confidence: q2 wrong, q0 right, q1 right; q0's first is junk."""
    ranks = np.array([[1, 2, 0], [4, 3, 0], [5, 3, 0]])
    similarities = np.array([[0.9, 0.5, 0.4], [0.3, 0.2, 0], [0.95, 0.8, 0]])
    scores = evaluate_recognition(ranks, similarities, truth)
    assert scores.right.tolist() == [True, True, False]
    assert scores.confidences.tolist() == [0.5, 0.3, 0.8]
    expected = (1 / 2 + 2 / 3) / 2
    assert scores.global_average_precision == pytest.approx(expected)


def test_no_answer_costs_recall_but_no_precision(truth):
    ranks = np.array([[1, -1], [4, 3], [-1, -1]])
    similarities = np.array([[0.9, 0.8], [0.3, 0.2], [0.7, 0.7]])
    scores = evaluate_recognition(ranks, similarities, truth)
    assert scores.right.tolist() == [False, True, False]
    np.testing.assert_array_equal(scores.confidences, [np.nan, 0.3, np.nan])
    assert scores.global_average_precision == 1 / 2


def test_recognition_refuses_rankings_of_other_queries(truth):
    with pytest.raises(UserError, match=r"shape \(1, 2\)"):
        evaluate_recognition(np.zeros((1, 2), int), np.zeros((1, 2)), truth)

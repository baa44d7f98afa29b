"""The retrieval score of Google Landmarks v2 against worked examples.

The first is that of the benchmark's own metrics_test.py
(https://github.com/tensorflow/models, research/delf).
"""

import numpy as np
import pytest

from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth, QueryTruth
from agem_tf.evaluation.landmark_retrieval import evaluate_landmark_retrieval


def _truth(*positives, junk=()):
    return GroundTruth(
        list("abcdef"),
        [f"q{i}" for i in range(len(positives))],
        [QueryTruth(easy, [], junk) for easy in positives],
    )


@pytest.mark.parametrize(("top", "expected"), [(100, 0.458333), (1, 0.5)])
def test_retrieval_by_the_published_example(top, expected):
    truth = _truth([1, 2], [1], [3, 4, 5], [3])
    ranks = np.array([[-1, -1], [0, 1], [4, -1], [3, 4]])
    scores = evaluate_landmark_retrieval(ranks, truth, top)
    assert scores.mean_average_precision == pytest.approx(expected, abs=1e-6)


def test_precision_is_not_averaged_between_neighbours():
    """Unlike in Oxford's trapezoidal rule, a hit at rank 2 is worth 1/2."""
    scores = evaluate_landmark_retrieval(np.array([[0, 1]]), _truth([1]))
    assert scores.mean_average_precision == 1 / 2


def test_a_repeated_photo_is_wrong_and_keeps_its_position():
    ranks = np.array([[1, 1, 2]])
    scores = evaluate_landmark_retrieval(ranks, _truth([1, 2]))
    assert scores.mean_average_precision == pytest.approx((1 + 2 / 3) / 2)


def test_more_positives_than_places_can_still_score_1():
    ranks = np.array([[0, 1, 2, 3]])
    scores = evaluate_landmark_retrieval(ranks, _truth([0, 1, 2, 3]), top=2)
    assert scores.mean_average_precision == 1


def test_junk_and_queries_without_positives_are_left_out():
    ranks = np.array([[5, 0, 1], [5, 0, 1]])
    scores = evaluate_landmark_retrieval(ranks, _truth([1], [], junk=[5]))
    np.testing.assert_array_equal(scores.average_precisions, [1 / 2, np.nan])
    assert scores.mean_average_precision == 1 / 2


def test_retrieval_refuses_rankings_of_other_queries():
    with pytest.raises(UserError, match=r"shape \(1, 2\)"):
        evaluate_landmark_retrieval(np.array([[0, 1]]), _truth([1], [2]))

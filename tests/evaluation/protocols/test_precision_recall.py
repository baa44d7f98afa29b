"""The pooled curve against a worked example."""

import numpy as np
import pytest

from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth, QueryTruth
from agem_tf.evaluation.protocols.precision_recall import precision_recall

_RANKS = np.array([[0, 1, 2], [3, 4, 0], [5, 1, 2]])
_SCORES = np.array([[30, 20, 10], [25, 20, -np.inf], [20, 5, 1]])


@pytest.fixture
def ground_truth():
    """Three positives in all; the third query has none."""
    return GroundTruth(
        list("abcdef"),
        ["q0", "q1", "q2"],
        [
            QueryTruth([0], [2], [1]),
            QueryTruth([4], [], []),
            QueryTruth([], [], []),
        ],
    )


def test_the_curve_by_hand(ground_truth):
    """At 20, two of four are right: tied photos pass together, junk not."""
    curve = precision_recall(_RANKS, _SCORES, ground_truth)
    np.testing.assert_array_equal(curve.thresholds, [30, 25, 20, 10, 5, 1])
    np.testing.assert_allclose(
        curve.precision, [1, 1 / 2, 2 / 4, 3 / 5, 3 / 6, 3 / 7]
    )
    np.testing.assert_allclose(curve.recall, [1 / 3, 1 / 3, 2 / 3, 1, 1, 1])


def test_the_order_within_a_ranking_does_not_matter(ground_truth):
    curve = precision_recall(_RANKS, _SCORES, ground_truth)
    other = precision_recall(_RANKS[:, ::-1], _SCORES[:, ::-1], ground_truth)
    np.testing.assert_array_equal(curve.precision, other.precision)
    np.testing.assert_array_equal(curve.recall, other.recall)


def test_positives_cut_off_are_not_found(ground_truth):
    curve = precision_recall(_RANKS[:, :1], _SCORES[:, :1], ground_truth)
    np.testing.assert_allclose(curve.recall, [1 / 3, 1 / 3, 1 / 3])


def test_without_positives_there_is_no_recall(ground_truth):
    truth = GroundTruth(list("abcdef"), ["q2"], ground_truth.queries[2:])
    curve = precision_recall(_RANKS[2:], _SCORES[2:], truth)
    np.testing.assert_array_equal(curve.precision, [0, 0, 0])
    assert np.isnan(curve.recall).all()


def test_scores_must_fit(ground_truth):
    with pytest.raises(UserError, match=r"shape \(3, 3\).*shape \(3, 2\)"):
        precision_recall(_RANKS, _SCORES[:, :2], ground_truth)
    for faulty in (np.nan, np.inf):
        scores = np.where(_SCORES == 5, faulty, _SCORES)
        with pytest.raises(UserError, match="neither NaN nor infinity"):
            precision_recall(_RANKS, scores, ground_truth)

"""Scores against worked examples of the revisited protocol."""

import numpy as np
import pytest

from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth, QueryTruth
from agem_tf.evaluation.protocols.oxford import evaluate_oxford
from agem_tf.evaluation.protocols.ranked_scores import (
    average_precision,
    precision_at,
    precision_at_recall,
)
from agem_tf.evaluation.protocols.revisited import evaluate_revisited

_RANKS = np.array(
    [[3, 7, 0, 5, 1, 9, 2, 4, 8, 6], [4, 0, 8, 2, 6, 1, 3, 5, 7, 9]]
)


@pytest.fixture
def ground_truth():
    return GroundTruth(
        [f"photo {i}" for i in range(10)],
        ["q0", "q1"],
        [QueryTruth([0, 1], [7, 4], [3, 2]), QueryTruth([], [8, 9], [4])],
    )


@pytest.mark.parametrize(
    ("positions", "num_positives", "expected"),
    [
        ([0, 2, 5], 4, 0.5083333),
        ([0], 1, 1.0),
        ([1], 1, 0.25),
        ([9], 1, 0.05),
        ([], 3, 0.0),
    ],
)
def test_average_precision_by_hand(positions, num_positives, expected):
    actual = average_precision(np.array(positions, int), num_positives)
    assert actual == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(
    ("difficulty", "mean", "average_precisions", "precisions"),
    [
        ("easy", 0.7916667, [0.7916667, np.nan], [1, 0.6666667, 0.6666667]),
        ("medium", 0.5236111, [0.8354167, 0.2118056], [0.5, 0.4, 0.4444444]),
        ("hard", 0.4600694, [0.7083333, 0.2118056], [0.5, 0.35, 0.3611111]),
    ],
)
def test_difficulties_by_hand(
    ground_truth, difficulty, mean, average_precisions, precisions
):
    scores = getattr(evaluate_revisited(_RANKS, ground_truth), difficulty)
    assert scores.mean_average_precision == pytest.approx(mean, abs=1e-7)
    np.testing.assert_allclose(
        scores.average_precisions, average_precisions, atol=1e-7
    )
    assert list(scores.mean_precision_at) == [1, 5, 10]
    np.testing.assert_allclose(
        list(scores.mean_precision_at.values()), precisions, atol=1e-7
    )


def test_positives_cut_off_count_as_not_found(ground_truth):
    """Of q0's positives 0, 1, 4 and 7 the ranking 3, 7, 0, 5 keeps two."""
    scores = evaluate_revisited(_RANKS[:, :4], ground_truth).medium
    found_first_two = (1 + 1) / 2 / 4 + (1 + 1) / 2 / 4
    assert scores.average_precisions[0] == pytest.approx(found_first_two)
    # q1 finds 8 at position 1, after its junk photo 4, and misses 9.
    assert scores.average_precisions[1] == pytest.approx((0 + 1 / 2) / 2 / 2)
    assert scores.mean_precision_at[5] == pytest.approx((2 / 5 + 1 / 5) / 2)


def test_a_query_is_judged_only_up_to_its_last_positive():
    assert precision_at(np.array([0, 2]), 2, cutoff=10) == 2 / 3
    assert precision_at(np.array([0, 2]), 3, cutoff=10) == 2 / 10


def test_without_positives_there_is_no_score():
    truth = GroundTruth.from_labels(["a", "b", "c"], [1, 1, 2])
    ranks = np.array([[0, 1, 2], [2, 1, 0], [2, 0, 1]])
    scores = evaluate_revisited(ranks, truth, cutoffs=(1, 2))
    assert np.isnan(scores.hard.mean_average_precision)
    assert np.isnan(list(scores.hard.mean_precision_at.values())).all()
    np.testing.assert_allclose(
        scores.easy.average_precisions, [1, 0.25, np.nan]
    )
    assert scores.easy.mean_precision_at == {1: 0.5, 2: 0.75}


def test_the_old_protocol_takes_easy_and_hard_as_one(ground_truth):
    scores = evaluate_oxford(_RANKS, ground_truth)
    assert scores.mean_average_precision == pytest.approx(0.5236111, abs=1e-7)
    np.testing.assert_allclose(
        scores.average_precisions, [0.8354167, 0.2118056], atol=1e-7
    )
    assert scores.mean_precision_at[5] == pytest.approx(0.4)


def test_distractors_are_wrong_photos_behind_the_database(ground_truth):
    """q0's positives 0, 1, 4 and 7 are each one place farther back."""
    ranks = np.array([[12, 7, 0, 1, 4], [10, 11, 13, 12, 14]])
    scores = evaluate_revisited(ranks, ground_truth).medium
    places = np.array([1, 2, 3, 4])
    assert scores.average_precisions.tolist() == [
        average_precision(places, 4),
        0,
    ]


def test_a_photo_that_is_listed_again_counts_once(ground_truth):
    ranks = np.array([[0, 0, 1, 0], [8, 9, 8, 8]])
    scores = evaluate_revisited(ranks, ground_truth)
    expected = average_precision(np.array([0, 2]), 2)
    assert scores.easy.average_precisions[0] == expected
    assert scores.hard.average_precisions[1] == 1


def test_a_ranking_of_other_queries_is_refused(ground_truth):
    with pytest.raises(UserError, match=r"2 queries, .*\(1, 10\)"):
        evaluate_revisited(_RANKS[:1], ground_truth)


def test_precision_at_each_recall_by_hand():
    """Found at 0, 2 and 5 of four: 1, 2/3 and 1/2; the fourth never."""
    curve = precision_at_recall(np.array([0, 2, 5]), 4)
    assert curve[[0, 1, 25]].tolist() == [1, 1, 1]
    np.testing.assert_allclose(
        curve[[26, 50, 51, 75]], [2 / 3, 2 / 3, 0.5, 0.5]
    )
    assert curve[76:].tolist() == [0] * 25
    # A later photo may raise precision again: 1/3, then 2/4.
    curve = precision_at_recall(np.array([2, 3]), 2)
    assert set(curve.tolist()) == {0.5}


def test_curves_and_precisions_of_the_queries_are_averaged(ground_truth):
    scores = evaluate_revisited(_RANKS, ground_truth).easy
    # Without junk q0's ranking starts 0, 5, 1; q1 has nothing easy.
    np.testing.assert_allclose(
        scores.precision_at_recall, precision_at_recall(np.array([0, 2]), 2)
    )
    np.testing.assert_allclose(scores.precisions_at[5], [2 / 3, np.nan])

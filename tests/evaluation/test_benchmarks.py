"""Ground truths from file names and labels, scored by the right protocol."""

import numpy as np
import pytest

from agem_tf.errors import UserError
from agem_tf.evaluation.benchmarks import (
    grouped_ground_truth,
    holidays_ground_truth,
    labelled_ground_truth,
    ukbench_ground_truth,
)
from agem_tf.evaluation.protocols import evaluate_ok_junk
from agem_tf.evaluation.ukbench import evaluate_ukbench

_HOLIDAYS = ["100001.jpg", "100000.jpg", "100100.jpg", "100002.jpg", "100101"]


def test_the_first_photo_of_a_holidays_scene_searches_the_others():
    truth = holidays_ground_truth([f"jpg/{name}" for name in _HOLIDAYS])
    assert truth.query_names == ["jpg/100000.jpg", "jpg/100100.jpg"]
    assert [query.easy.tolist() for query in truth.queries] == [[0, 3], [4]]


def test_a_holidays_query_is_left_out_of_its_ranking():
    truth = holidays_ground_truth(_HOLIDAYS)
    # The first query finds itself first and the second itself in the middle.
    ranks = np.array([[1, 0, 2, 3, 4], [0, 2, 4, 1, 3]])
    scores = evaluate_ok_junk(ranks, truth)
    np.testing.assert_allclose(
        scores.average_precisions,
        [((1 + 1) + (1 / 2 + 2 / 3)) / 2 / 2, (0 + 1 / 2) / 2],
    )


def test_names_without_numbers_are_refused():
    with pytest.raises(UserError, match="'beach.jpg' has no number"):
        holidays_ground_truth(["100000.jpg", "beach.jpg"])


def test_labelled_queries_search_their_own_object():
    truth = labelled_ground_truth(
        ["d0", "d1", "d2"],
        ["cup", "car", "cup"],
        ["q0", "q1"],
        ["cup", "dog"],
        np.array([[1, 2, 30, 40], [0, 0, 9, 9]]),
    )
    assert [query.easy.tolist() for query in truth.queries] == [[0, 2], []]
    assert truth.queries[0].box == (1, 2, 30, 40)
    scores = evaluate_ok_junk(np.array([[1, 0, 2], [0, 1, 2]]), truth)
    expected = ((0 + 1 / 2) + (1 / 2 + 2 / 3)) / 2 / 2
    np.testing.assert_allclose(scores.average_precisions, [expected, np.nan])
    assert scores.mean_average_precision == pytest.approx(expected)


def test_labelled_queries_must_fit():
    with pytest.raises(UserError, match="1 queries are in .* 'a' first"):
        labelled_ground_truth(["a", "b"], [1, 2], ["a"], [1])
    with pytest.raises(UserError, match="photo needs one label.* 2 names and"):
        labelled_ground_truth(["a", "b"], [1], ["q"], [1])
    with pytest.raises(UserError, match="query needs one label.* 1 names and"):
        labelled_ground_truth(["a"], [1], ["q"], [1], np.ones((2, 4)))


def test_ukbench_counts_true_photos_among_four():
    truth = ukbench_ground_truth([f"full/ukbench{i:05}.jpg" for i in range(8)])
    assert truth.query_names == truth.database_names
    perfect = np.array(
        [[0, 1, 2, 3, 4, 5, 6, 7]] * 4 + [[7, 6, 5, 4, 3, 2, 1, 0]] * 4
    )
    assert evaluate_ukbench(perfect, truth).mean_true_in_top_4 == 4
    mixed = np.array([[i, i ^ 4, i ^ 5, i ^ 1] for i in range(8)])
    scores = evaluate_ukbench(mixed, truth)
    assert scores.true_in_top_4.tolist() == [2] * 8
    assert scores.mean_true_in_top_4 == 2


def test_ukbench_counts_a_short_ranking_as_far_as_it_goes():
    truth = ukbench_ground_truth(["0.jpg", "1.jpg", "6.jpg"])
    scores = evaluate_ukbench(np.array([[0, 1], [1, 2], [2, 0]]), truth)
    assert scores.true_in_top_4.tolist() == [2, 1, 1]
    with pytest.raises(UserError, match=r"3 queries.*\(2, 2\)"):
        evaluate_ukbench(np.array([[0, 1], [1, 2]]), truth)


def test_a_folder_is_a_group_of_photos():
    truth = grouped_ground_truth(
        ["church/1.jpg", "mill/1.jpg", "church/old/2.jpg", "mill/3.jpg"]
    )
    assert [q.easy.tolist() for q in truth.queries] == [[2], [3], [0], [1]]
    assert [q.junk.tolist() for q in truth.queries] == [[0], [1], [2], [3]]
    with pytest.raises(UserError, match="'2.jpg' is in no folder"):
        grouped_ground_truth(["church/1.jpg", "2.jpg"])

"""The scores of Google Landmarks v2 against worked examples.

Those "by the published example" are of the benchmark's own metrics_test.py
(https://github.com/tensorflow/models, research/delf).
"""

import numpy as np
import pytest

from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth, QueryTruth
from agem_tf.evaluation.protocols.gldv2 import (
    evaluate_landmark_recognition,
    evaluate_landmark_retrieval,
    global_average_precision,
    read_recognition_solution,
    read_retrieval_solution,
)

_INDEX = ["0/a/0a1.jpg", "0b2", "x/0c3.png", "0d4"]
_RETRIEVAL = """id,images,Usage
q1,0d4 0a1,Public
q2,None,Ignored
q3,0b2,Private
"""
_RECOGNITION = """id,landmarks,Usage
q1,7 9,Private
q2,,Public
q3,8,Ignored
q4,5,Public
"""


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
    scores = evaluate_landmark_recognition(ranks, similarities, truth)
    assert scores.right.tolist() == [True, True, False]
    assert scores.confidences.tolist() == [0.5, 0.3, 0.8]
    expected = (1 / 2 + 2 / 3) / 2
    assert scores.global_average_precision == pytest.approx(expected)


def test_no_answer_costs_recall_but_no_precision(truth):
    ranks = np.array([[1, -1], [4, 3], [-1, -1]])
    similarities = np.array([[0.9, 0.8], [0.3, 0.2], [0.7, 0.7]])
    scores = evaluate_landmark_recognition(ranks, similarities, truth)
    assert scores.right.tolist() == [False, True, False]
    np.testing.assert_array_equal(scores.confidences, [np.nan, 0.3, np.nan])
    assert scores.global_average_precision == 1 / 2


def test_recognition_refuses_rankings_of_other_queries(truth):
    with pytest.raises(UserError, match=r"shape \(1, 2\)"):
        evaluate_landmark_recognition(
            np.zeros((1, 2), int), np.zeros((1, 2)), truth
        )


def _write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_a_retrieval_solution_names_photos_by_identifier(tmp_path):
    path = _write(tmp_path / "solution.csv", _RETRIEVAL)
    truth = read_retrieval_solution(path, _INDEX)
    assert truth.query_names == ["q1", "q3"]
    assert [q.easy.tolist() for q in truth.queries] == [[3, 0], [1]]
    assert truth.database_names == _INDEX


def test_an_answer_outside_the_database_is_named(tmp_path):
    path = _write(tmp_path / "solution.csv", _RETRIEVAL)
    with pytest.raises(UserError, match="'q3' with '0b2', .*the 2 photos"):
        read_retrieval_solution(path, ["0a1", "0d4"])


@pytest.mark.parametrize(
    "labels",
    [
        "id,url,landmark_id\n0a1,u,7\n0b2,u,8\n0c3,u,9\n0d4,u,7\nzz,u,5\n",
        "landmark_id,images\n7,0a1 0d4\n8,0b2\n9,0c3 yy\n5,zz\n",
    ],
)
def test_a_recognition_solution_finds_all_photos_of_a_landmark(
    tmp_path, labels
):
    """Landmark 5 has no photo in the index, q2 no landmark."""
    path = _write(tmp_path / "solution.csv", _RECOGNITION)
    labels = _write(tmp_path / "train.csv", labels)
    truth = read_recognition_solution(path, labels, _INDEX)
    assert truth.query_names == ["q1", "q2", "q4"]
    assert [q.easy.tolist() for q in truth.queries] == [[0, 2, 3], [], []]
    assert [q.is_answerable for q in truth.queries] == [True, False, True]


def test_a_partial_database_does_not_raise_the_score():
    """M counts a query whose landmark the database lacks: 1 / 2, not 1."""
    queries = [
        QueryTruth([0], [], []),
        QueryTruth([], [], [], is_answerable=True),
        QueryTruth([], [], []),
    ]
    truth = GroundTruth(["a", "b"], ["q1", "q2", "q3"], queries)
    ranks = np.array([[0, 1], [1, 0], [1, 0]])
    similarities = np.array([[0.9, 0.1], [0.5, 0.2], [0.4, 0.3]])
    for each in (
        truth,
        GroundTruth.from_dict(truth.to_dict()),
        truth.restricted_to(["a", "b", "q1", "q2", "q3"])[0],
        GroundTruth.joined([truth]),
    ):
        scores = evaluate_landmark_recognition(ranks, similarities, each)
        assert scores.global_average_precision == pytest.approx(0.5)
        assert scores.right.tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "columns id, images, Usage. Received: an empty file"),
        ("id,Usage\nq,Public\n", "Received: id, Usage"),
        ("id,images,Usage\nq,0a1\n", "a row of 2 instead of 3 cells, 'q'"),
        ("id,images,Usage\n\xff", "not a CSV in UTF-8"),
    ],
)
def test_faulty_files_are_refused(tmp_path, content, message):
    path = tmp_path / "solution.csv"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError, match=rf"solution\.csv.*{message}"):
        read_retrieval_solution(path, _INDEX)

"""What a ground truth is without some of its photos."""

import pytest

from agem_tf.datasets.completeness import restrict
from agem_tf.evaluation.ground_truth import GroundTruth, QueryTruth


@pytest.fixture
def truth():
    return GroundTruth(
        ["a", "b", "c", "d"],
        ["q", "b"],
        [
            QueryTruth([0, 2], [3], [1], box=(1, 2, 3, 4)),
            QueryTruth([2], [], [1]),
        ],
    )


def test_nothing_missing_changes_nothing(truth):
    restricted, lost = restrict(truth, ["q", "d", "c", "b", "a"])
    assert restricted.to_dict() == truth.to_dict()
    assert lost == {"queries": 0, "positives": 0}


def test_missing_photos_shift_the_indices_of_the_others(truth):
    restricted, lost = restrict(truth, ["q", "b", "d"])
    assert restricted.to_dict() == {
        "imlist": ["b", "d"],
        "qimlist": ["q", "b"],
        "gnd": [
            {"bbx": [1, 2, 3, 4], "easy": [], "hard": [1], "junk": [0]},
            {"bbx": None, "easy": [], "hard": [], "junk": [0]},
        ],
    }
    assert lost == {"queries": 0, "positives": 3}


def test_queries_without_their_photo_are_lost_with_their_answers(truth):
    restricted, lost = restrict(truth, ["a", "b", "d"])
    assert restricted.query_names == ["b"]
    assert lost == {"queries": 1, "positives": 1}

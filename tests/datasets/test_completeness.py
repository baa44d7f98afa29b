"""What a ground truth is without some of its photos."""

import pytest
import tensorflow as tf

from agem_tf.datasets.completeness import find_missing, restrict
from agem_tf.errors import UserError
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


def test_missing_files_are_found(tmp_path):
    (tmp_path / "folder").mkdir()
    here = tmp_path / "folder" / "a.jpg"
    here.write_bytes(b"")
    gone = [str(tmp_path / "folder" / "b.jpg"), str(tmp_path / "none/a.jpg")]
    assert find_missing([str(here), *gone]) == set(gone)


def test_a_folder_that_must_not_be_read_is_named(monkeypatch):
    def refuse(folder):
        raise tf.errors.PermissionDeniedError(None, None, f"{folder} is secret")

    # Root may read everything, so no folder of a test's own would do.
    monkeypatch.setattr(tf.io.gfile, "listdir", refuse)
    with pytest.raises(UserError, match="photos cannot be listed .*secret"):
        find_missing(["photos/a.jpg"])

"""Ground truths: making, reading, restricting."""

import json

import numpy as np
import pytest

from agem_tf.errors import UserError
from agem_tf.evaluation import ground_truth
from agem_tf.evaluation.ground_truth import GroundTruth, QueryTruth


def _content():
    return {
        "imlist": ["a", "b", "c", "d"],
        "qimlist": ["q", "r"],
        "gnd": [
            {"bbx": [1, 2, 30.5, 40], "easy": [0], "hard": [3], "junk": []},
            {"bbx": None, "easy": [], "hard": [1, 2], "junk": [0]},
        ],
    }


def test_json_is_read_back(tmp_path):
    truth = GroundTruth.from_dict(_content())
    truth.save(tmp_path / "ground_truth.json")
    loaded = GroundTruth.load(tmp_path / "ground_truth.json")
    assert loaded.to_dict() == _content()
    assert loaded.queries[0].box == (1, 2, 30.5, 40)
    assert loaded.queries[1].hard.tolist() == [1, 2]
    assert loaded.has_boxes


def test_every_photo_searches_the_others_of_its_landmark():
    truth = GroundTruth.from_labels(list("abcde"), ["x", "y", "x", "x", "z"])
    assert truth.query_names == truth.database_names == list("abcde")
    easy = [query.easy.tolist() for query in truth.queries]
    assert easy == [[2, 3], [], [0, 3], [0, 2], []]
    junk = [query.junk.tolist() for query in truth.queries]
    assert junk == [[0], [1], [2], [3], [4]]
    assert not any(query.hard.size for query in truth.queries)
    assert not truth.has_boxes


def test_boxes_of_photos_become_boxes_of_queries():
    boxes = np.array([[0, 0, 0, 0], [5, 6, 70, 80]], np.float32)
    truth = GroundTruth.from_labels(["a", "b"], [1, 1], boxes)
    assert [query.box for query in truth.queries] == [None, (5, 6, 70, 80)]


def listed(truth):
    """The same ground truth, with lists of positives."""
    return GroundTruth(
        truth.database_names, truth.query_names, list(truth.queries)
    )


@pytest.fixture
def labelled():
    """Three landmarks; c and e are boxes, and f is the only photo of z."""
    boxes = np.zeros((6, 4))
    boxes[[2, 4]] = [5, 6, 70, 80]
    return GroundTruth.from_labels(list("abcdef"), list("xyxxyz"), boxes)


def test_labels_are_written_instead_of_lists(labelled, tmp_path):
    labelled.save(tmp_path / "truth.json")
    content = json.loads((tmp_path / "truth.json").read_text())
    assert content["labels"] == [0, 1, 0, 0, 1, 2]
    loaded = GroundTruth.load(tmp_path / "truth.json")
    assert listed(loaded).to_dict() == listed(labelled).to_dict()
    assert loaded.has_boxes


def test_labels_are_joined_and_restricted_as_lists_are(labelled):
    joined = GroundTruth.joined([labelled, labelled])
    lists = GroundTruth.joined([listed(labelled)] * 2)
    assert listed(joined).to_dict() == lists.to_dict()
    # The only photos left of their landmarks are e and f.
    restricted, lost = labelled.restricted_to("acdef")
    lists, lost_of_lists = listed(labelled).restricted_to("acdef")
    assert listed(restricted).to_dict() == lists.to_dict()
    assert lost == lost_of_lists == {"queries": 1, "positives": 1}
    answerable = [query.is_answerable for query in restricted.queries]
    assert answerable == [True, True, True, True, False]


@pytest.mark.parametrize(
    "change",
    [
        {"labels": [0]},
        {"labels": ["x", "y"]},
        {"answerable": [1]},
        {"boxes": {"2": [1, 2, 3, 4]}},
        {"boxes": {"-1": [1, 2, 3, 4]}},
        {"boxes": {"0": [3, 2, 1, 4]}},
        {"boxes": [1]},
    ],
)
def test_faulty_labels_are_refused(change):
    content = {
        "imlist": ["a", "b"],
        "labels": [0, 0],
        "boxes": {},
        "answerable": [1, 1],
    }
    GroundTruth.from_dict(content)
    with pytest.raises(UserError):
        GroundTruth.from_dict(content | change)


@pytest.mark.parametrize("box", [(3, 2, 1, 4), (1, 4, 3, 4), (0, 0, 0, 9)])
def test_boxes_of_labelled_photos_have_an_area(box):
    with pytest.raises(UserError, match="x1 < x2 and y1 < y2"):
        GroundTruth.from_labels(["a", "b"], [1, 1], [(0, 0, 0, 0), box])


def test_queries_by_landmarks_are_the_database(labelled):
    with pytest.raises(UserError, match="all photos of the database"):
        GroundTruth(labelled.database_names, list("fedcba"), labelled.queries)


def test_names_need_labels():
    with pytest.raises(UserError, match="2 names, 3 labels"):
        GroundTruth.from_labels(["a", "b"], [1, 1, 2])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"easy": [4]}, "Query 'q' has indices from 3 to 4"),
        ({"junk": [-1]}, "Query 'q' has indices from -1"),
        ({"junk": [3]}, "Query 'q' lists photo 3 twice"),
        ({"easy": [0.5]}, "easy=.0.5."),
        ({"bbx": [10, 2, 5, 40]}, "x1 < x2"),
        ({"bbx": [1, 2, 3]}, "x1 < x2"),
        ({"bbx": ["left", 1, 2, 3]}, "Ground truth must be"),
    ],
)
def test_faulty_queries_are_refused(change, message):
    content = _content()
    content["gnd"][0].update(change)
    with pytest.raises(UserError, match=message):
        GroundTruth.from_dict(content)


def test_missing_parts_are_named():
    content = _content()
    del content["gnd"][1]["hard"]
    with pytest.raises(UserError, match="no 'hard'"):
        GroundTruth.from_dict(content)
    with pytest.raises(UserError, match="2 queries, but has positives of 1"):
        GroundTruth(["a"], ["q", "r"], [QueryTruth([0], [], [])])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        pytest.param("[" * 100_000, "not valid JSON", id="nested"),
        ("[1]", "Ground truth must be"),
        (json.dumps({"imlist": []}), "no 'gnd'"),
    ],
)
def test_faulty_files_are_named(tmp_path, text, message):
    path = tmp_path / "truth.json"
    path.write_text(text)
    with pytest.raises(UserError, match=rf"truth\.json.*{message}"):
        GroundTruth.load(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.json cannot be read"):
        GroundTruth.load(tmp_path / "nowhere.json")


@pytest.fixture
def small_truth():
    return GroundTruth(
        ["a", "b", "c", "d"],
        ["q", "b"],
        [
            QueryTruth([0, 2], [3], [1], box=(1, 2, 3, 4)),
            QueryTruth([2], [], [1]),
        ],
    )


def test_nothing_missing_changes_nothing(small_truth):
    restricted, lost = small_truth.restricted_to(["q", "d", "c", "b", "a"])
    assert restricted.to_dict() == small_truth.to_dict()
    assert lost == {"queries": 0, "positives": 0}


def test_missing_photos_shift_the_indices_of_the_others(small_truth):
    restricted, lost = small_truth.restricted_to(["q", "b", "d"])
    assert restricted.to_dict() == {
        "imlist": ["b", "d"],
        "qimlist": ["q", "b"],
        "gnd": [
            {"bbx": [1, 2, 3, 4], "easy": [], "hard": [1], "junk": [0]},
            # It is answerable still, but not by these photos.
            {
                "bbx": None,
                "easy": [],
                "hard": [],
                "junk": [0],
                "lacking": True,
            },
        ],
    }
    assert lost == {"queries": 0, "positives": 3}


def test_queries_without_their_photo_are_lost_with_their_answers(small_truth):
    restricted, lost = small_truth.restricted_to(["a", "b", "d"])
    assert restricted.query_names == ["b"]
    assert lost == {"queries": 1, "positives": 1}


def test_a_file_written_in_pieces_is_that_of_one(
    tmp_path, monkeypatch, small_truth
):
    monkeypatch.setattr(ground_truth, "_PIECE", 2)
    labelled = GroundTruth.from_labels(
        ["a", "b", "c"], [4, 4, 1], [[0, 0, 0, 0], [1, 2, 3, 4], [0, 0, 0, 0]]
    )
    for truth in (small_truth, labelled, GroundTruth([], [], [])):
        truth.save(tmp_path / "truth.json")
        written = (tmp_path / "truth.json").read_text()
        assert written == json.dumps(truth.to_dict())

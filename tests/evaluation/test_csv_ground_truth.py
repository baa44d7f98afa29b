"""Ground truths from CSV files, published or written by hand."""

import pytest

from agem_tf.errors import UserError
from agem_tf.evaluation.csv_ground_truth import (
    read_groups,
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


def _write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_a_retrieval_solution_names_photos_by_identifier(tmp_path):
    path = _write(tmp_path / "solution.csv", _RETRIEVAL)
    truth = read_retrieval_solution(path, _INDEX)
    assert truth.query_names == ["q1", "q3"]
    assert [q.easy.tolist() for q in truth.queries] == [[3, 0], [1]]
    assert truth.database_names == _INDEX


def test_an_answer_without_a_descriptor_is_named(tmp_path):
    path = _write(tmp_path / "solution.csv", _RETRIEVAL)
    with pytest.raises(UserError, match="query 'q3' with '0b2', which has no"):
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


@pytest.mark.parametrize("header", ["", "path,landmark\n", "\n"])
def test_own_photos_are_grouped_by_hand(tmp_path, header):
    rows = "a.jpg , mill\nb.jpg,church\n\nc.jpg,mill,1,2,3,4\n"
    path = _write(tmp_path / "groups.csv", "\ufeff" + header + rows)
    truth = read_groups(path)
    assert truth.database_names == ["a.jpg", "b.jpg", "c.jpg"]
    assert [q.easy.tolist() for q in truth.queries] == [[2], [], [0]]
    assert [q.junk.tolist() for q in truth.queries] == [[0], [1], [2]]


def test_a_photo_without_its_group_is_named(tmp_path):
    path = _write(tmp_path / "groups.csv", "a.jpg,mill\nb.jpg,\n")
    with pytest.raises(UserError, match=r"no landmark for 'b\.jpg'"):
        read_groups(path)


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


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.csv cannot be read"):
        read_groups(tmp_path / "nowhere.csv")

"""The protocol of one difficulty, and the ground truths that it scores."""

import numpy as np
import pytest

from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth, QueryTruth
from agem_tf.evaluation.protocols.oxford import (
    evaluate_oxford,
    grouped_ground_truth,
    holidays_ground_truth,
    read_groups,
)

_HOLIDAYS = ["100001.jpg", "100000.jpg", "100100.jpg", "100002.jpg", "100101"]


def test_the_old_protocol_counts_the_query_that_is_its_own_positive():
    truth = GroundTruth(
        list("abcd"), ["a"], [QueryTruth(easy=[0, 2], hard=[], junk=[3])]
    )
    # a, b, c without the junk d: positions 0 and 2.
    scores = evaluate_oxford(np.array([[0, 3, 1, 2]]), truth)
    assert scores.mean_average_precision == pytest.approx(
        ((1 + 1) + (1 / 2 + 2 / 3)) / 2 / 2
    )


def test_the_first_photo_of_a_holidays_scene_searches_the_others():
    truth = holidays_ground_truth([f"jpg/{name}" for name in _HOLIDAYS])
    assert truth.query_names == ["jpg/100000.jpg", "jpg/100100.jpg"]
    assert [query.easy.tolist() for query in truth.queries] == [[0, 3], [4]]


def test_a_holidays_query_is_left_out_of_its_ranking():
    truth = holidays_ground_truth(_HOLIDAYS)
    # The first query finds itself first and the second itself in the middle.
    ranks = np.array([[1, 0, 2, 3, 4], [0, 2, 4, 1, 3]])
    scores = evaluate_oxford(ranks, truth)
    np.testing.assert_allclose(
        scores.average_precisions,
        [((1 + 1) + (1 / 2 + 2 / 3)) / 2 / 2, (0 + 1 / 2) / 2],
    )


def test_names_without_numbers_are_refused():
    with pytest.raises(UserError, match="'beach.jpg' has no number"):
        holidays_ground_truth(["100000.jpg", "beach.jpg"])


def test_a_folder_is_a_group_of_photos():
    truth = grouped_ground_truth(
        ["church/1.jpg", "mill/1.jpg", "church/old/2.jpg", "mill/3.jpg"]
    )
    assert [q.easy.tolist() for q in truth.queries] == [[2], [3], [0], [1]]
    assert [q.junk.tolist() for q in truth.queries] == [[0], [1], [2], [3]]
    with pytest.raises(UserError, match="'2.jpg' is in no folder"):
        grouped_ground_truth(["church/1.jpg", "2.jpg"])


def _write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


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


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.csv cannot be read"):
        read_groups(tmp_path / "nowhere.csv")

"""Relations between views of a landmark."""

import dataclasses
from collections import Counter

import numpy as np
import pytest

from agem_tf import rendered_landmarks
from agem_tf.rendered_landmarks import View, effort, overlap, relation


def _view(**changes) -> View:
    """Returns a frontal view of the whole facade in daylight."""
    view = View(
        landmark=4,
        index=0,
        homography=np.eye(3),
        box=(10.0, 10.0, 200.0, 150.0),
        visible=np.ones((32, 32), bool),
        visible_fraction=1.0,
        yaw=0.0,
        scale=8.0,
        light="noon",
    )
    return dataclasses.replace(view, **changes)


def _part(columns: slice) -> dict:
    visible = np.zeros((32, 32), bool)
    visible[:, columns] = True
    return {"visible": visible, "visible_fraction": float(visible.mean())}


def test_the_same_view_is_easy_with_zero_effort():
    assert effort(_view(), _view()) == 0
    assert relation(_view(), _view()) == "easy"


@pytest.mark.parametrize(
    "changes",
    [
        {"yaw": 50.0, "light": "night"},
        {"scale": 1.5},
        {"scale": 40.0},
        {"light": "night", "scale": 3.5},
    ],
)
def test_strong_changes_are_hard_in_both_directions(changes):
    assert relation(_view(), _view(**changes)) == "hard"
    assert relation(_view(**changes), _view()) == "hard"


def test_another_part_of_the_facade_is_junk():
    left, right = _view(**_part(slice(0, 14))), _view(**_part(slice(16, 32)))
    assert overlap(left, right) == 0
    assert relation(left, right) == relation(right, left) == "junk"


def test_a_whole_view_contains_a_detail_but_not_the_reverse():
    whole, detail = _view(), _view(**_part(slice(8, 15)))
    assert overlap(detail, whole) == 1
    assert overlap(whole, detail) == pytest.approx(7 / 32)
    assert relation(detail, whole) == "easy"
    assert relation(whole, detail) == "junk"


def test_a_view_of_nothing_is_junk():
    nothing = _view(
        visible=np.zeros((32, 32), bool), visible_fraction=0.0, scale=0.0
    )
    assert relation(_view(), nothing) == relation(nothing, _view()) == "junk"
    assert effort(_view(), nothing) == float("inf")


def test_views_of_different_landmarks_are_refused():
    with pytest.raises(ValueError, match="other.landmark=5"):
        relation(_view(), _view(landmark=5))


def test_rendered_views_are_a_mix_of_easy_hard_and_junk():
    counts = Counter()
    for index in range(4):
        landmark = rendered_landmarks.make_landmark(0, index)
        views = [
            rendered_landmarks.render(landmark, k, 64).view for k in range(10)
        ]
        counts.update(
            relation(query, other)
            for query in views
            for other in views
            if query is not other
        )
    total = sum(counts.values())
    assert 0.3 < counts["easy"] / total < 0.65
    assert 0.2 < counts["hard"] / total < 0.6
    assert 0.02 < counts["junk"] / total < 0.3

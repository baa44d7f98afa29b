"""Landmarks are assigned to splits by shares or names."""

import pytest

from agem_tf.datasets.splits import assign_landmarks
from agem_tf.errors import UserError

NAMES = [f"place{i}" for i in range(20)]


def test_shares_are_of_all_landmarks():
    splits = assign_landmarks(NAMES, validation=0.1, test=0.25)
    assert [len(splits[s]) for s in ("train", "validation", "test")] == [
        13,
        2,
        5,
    ]
    assert sorted(sum(splits.values(), [])) == sorted(NAMES)


@pytest.mark.parametrize("name", ["aviary", "zoo", "place20", "place21"])
def test_a_new_landmark_moves_at_most_one_of_the_test(name):
    before = assign_landmarks(NAMES, validation=0, test=0.25)["test"]
    after = assign_landmarks([*NAMES, name], validation=0, test=0.25)["test"]
    assert len(set(before) - set(after)) <= 1


def test_patterns_choose_by_name():
    splits = assign_landmarks(NAMES, validation="place2", test="place1*,place3")
    assert splits["validation"] == ["place2"]
    assert len(splits["test"]) == 12
    assert "place3" not in splits["train"]


@pytest.mark.parametrize(
    ("selection", "chosen"),
    [
        (7, ["7"]),
        ([1, 2], ["1", "2"]),
        ((1, "b*"), ["1", "big"]),
        ((0,), ["0"]),
        ("1,7", ["1", "7"]),
    ],
)
def test_whole_numbers_are_names(selection, chosen):
    splits = assign_landmarks(
        ["0", "1", "2", "7", "big"], validation=0, test=selection
    )
    assert splits["test"] == chosen


@pytest.mark.parametrize("nothing", [0, 0.0, "", ()])
def test_nothing_is_no_split(nothing):
    assert list(assign_landmarks(NAMES, validation=nothing, test=nothing)) == [
        "train"
    ]


def test_all_landmarks_may_be_of_one_split():
    assert assign_landmarks(NAMES, test=1.0) == {"test": sorted(NAMES)}
    assert assign_landmarks(NAMES, validation=1.0, test=0) == {
        "validation": sorted(NAMES)
    }


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (1.5, r"share in \[0, 1\].*test=1\.5"),
        (-0.1, r"test=-0\.1"),
        (float("nan"), "test=nan"),
        (None, "test=None"),
        ("church*,place1", r"test pattern 'church\*' matches no landmark"),
        (7, "test pattern '7' matches no landmark"),
        (1, r"test pattern '1' matches .* give test=1\.0"),
    ],
)
def test_a_wrong_selection_is_named(selection, message):
    with pytest.raises(UserError, match=message):
        assign_landmarks(NAMES, validation=0, test=selection)

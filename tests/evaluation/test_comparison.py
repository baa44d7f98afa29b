"""Comparisons of two evaluations, query by query."""

import numpy as np
import pytest

from agem_tf.evaluation.comparison import compare_scores
from agem_tf.evaluation.results import StoredScores
from agem_tf.retrieval.ranking import Ranking


def _stored(**per_query):
    names = [f"q{i}" for i in range(4)]
    ranking = Ranking(np.zeros((4, 1), np.int32), names, ["photo"])
    arrays = {part: np.array(row) for part, row in per_query.items()}
    return StoredScores("revisited", names, arrays, ranking)


def test_perfect_scores_are_compared_at_each_difficulty():
    perfect = [1.0, 1.0, 1.0, 1.0]
    medium, hard = [1.0, 0.5, 1.0, 0.5], [0.5, 0.25, 1.0, np.nan]
    first = _stored(medium=perfect, hard=[1.0, 1.0, 1.0, np.nan])
    second = _stored(medium=medium, hard=hard)
    for before, after, sign in ((first, second, -1), (second, first, 1)):
        parts = compare_scores(before, after)
        assert [part.part for part in parts] == ["medium", "hard"]
        assert [part.num_scored for part in parts] == [4, 3]
        assert np.nanmean(parts[0].differences) == sign * 0.25
    assert parts[1].means == pytest.approx((1.75 / 3, 1.0))
    all_perfect = _stored(medium=perfect, hard=perfect)
    parts = compare_scores(all_perfect, _stored(medium=medium, hard=perfect))
    assert [part.part for part in parts] == ["medium", "hard"]


def test_difficulties_that_are_equal_in_both_are_one():
    first, second = [1.0, 0.5, np.nan, 0.0], [0.5, 0.5, np.nan, 0.5]
    (part,) = compare_scores(
        _stored(easy=first, medium=first), _stored(easy=second, medium=second)
    )
    assert part.part == "all"
    assert part.gained_most(9) == [3]
    assert part.lost_most(9) == [0]

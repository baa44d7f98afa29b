"""Exact rankings."""

import numpy as np
import pytest

from agem_tf.evaluation import rank


def test_the_ranking_is_that_of_a_plain_sort():
    rng = np.random.default_rng(0)
    queries = rng.integers(-2, 3, size=(6, 4))
    database = rng.integers(-2, 3, size=(30, 4))
    ranks = rank(queries, database)
    similarities = queries @ database.T
    for row, order in zip(similarities, ranks.tolist(), strict=True):
        assert order == sorted(range(30), key=lambda i, row=row: (-row[i], i))


@pytest.mark.parametrize("top", [1, 7, 30, 31])
def test_a_shorter_ranking_is_the_start_of_the_whole(top):
    rng = np.random.default_rng(1)
    queries = rng.integers(-2, 3, size=(6, 4))
    database = rng.integers(-2, 3, size=(30, 4))
    np.testing.assert_array_equal(
        rank(queries, database, top), rank(queries, database)[:, :top]
    )


def test_a_ranking_needs_a_photo():
    with pytest.raises(ValueError, match="top=0"):
        rank(np.ones((2, 3)), np.ones((5, 3)), top=0)

"""Exact similarities and their order."""

import numpy as np
import pytest

from agem_tf import similarity
from agem_tf.errors import UserError


def test_blocks_cover_all_queries_in_bounded_memory(monkeypatch):
    monkeypatch.setattr(similarity, "_BLOCK_VALUES", 12)
    rng = np.random.default_rng(0)
    queries, database = rng.normal(size=(7, 3)), rng.normal(size=(5, 3))
    blocks = list(similarity.similarity_blocks(queries, database))
    assert [start for start, _ in blocks] == [0, 2, 4, 6]
    np.testing.assert_allclose(
        np.concatenate([block for _, block in blocks]),
        queries @ database.T,
        rtol=1e-4,
        atol=1e-6,
    )


@pytest.mark.parametrize("top", [1, 4, 10])
def test_equal_similarities_keep_the_database_order(top):
    rows = np.array([[3, 1, 3, 0, 1, 1, 0, 2, 1, 3], [0] * 10], np.float32)
    orders = similarity.largest_first(rows, top)
    for row, order in zip(rows, orders, strict=True):
        expected = sorted(range(10), key=lambda i, row=row: (-row[i], i))
        assert order.tolist() == expected[: len(order)]
        assert len(order) >= top


def test_what_is_left_out_is_less_similar():
    row = np.array([[3, 1, 3, 0, 1]], np.float32)
    assert similarity.largest_first(row, 1)[0].tolist() == [0, 2]
    assert similarity.largest_first(row, 3)[0].tolist() == [0, 2, 1, 4]


def test_other_dimensions_and_nan_are_refused():
    with pytest.raises(UserError, match="3 dimensions and the database 4"):
        list(similarity.similarity_blocks(np.ones((2, 3)), np.ones((5, 4))))
    with pytest.raises(UserError, match="shapes"):
        list(similarity.similarity_blocks(np.ones(3), np.ones((5, 3))))
    database = np.ones((5, 3))
    database[2, 1] = np.nan
    with pytest.raises(UserError, match="NaN"):
        list(similarity.similarity_blocks(np.ones((2, 3)), database))


def test_the_ranking_is_that_of_a_plain_sort():
    rng = np.random.default_rng(0)
    queries = rng.integers(-2, 3, size=(6, 4))
    database = rng.integers(-2, 3, size=(30, 4))
    ranks = similarity.rank(queries, database)
    similarities = queries @ database.T
    for row, order in zip(similarities, ranks.tolist(), strict=True):
        assert order == sorted(range(30), key=lambda i, row=row: (-row[i], i))


@pytest.mark.parametrize("top", [1, 7, 30, 31])
def test_a_shorter_ranking_is_the_start_of_the_whole(top):
    rng = np.random.default_rng(1)
    queries = rng.integers(-2, 3, size=(6, 4))
    database = rng.integers(-2, 3, size=(30, 4))
    np.testing.assert_array_equal(
        similarity.rank(queries, database, top),
        similarity.rank(queries, database)[:, :top],
    )


def test_a_ranking_needs_a_photo():
    with pytest.raises(ValueError, match="top=0"):
        similarity.rank(np.ones((2, 3)), np.ones((5, 3)), top=0)


def test_the_nearest_are_the_start_of_the_ranking_with_its_similarities():
    rng = np.random.default_rng(2)
    queries = rng.integers(-2, 3, size=(6, 4))
    database = rng.integers(-2, 3, size=(30, 4))
    indices, similarities = similarity.nearest(queries, database, top=7)
    np.testing.assert_array_equal(
        indices, similarity.rank(queries, database, 7)
    )
    expected = np.take_along_axis(queries @ database.T, indices, axis=1)
    np.testing.assert_array_equal(similarities, expected)
    indices, similarities = similarity.nearest(queries, database, top=31)
    assert indices.shape == similarities.shape == (6, 30)

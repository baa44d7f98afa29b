"""Exact nearest neighbours and rankings."""

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from agem_tf.errors import UserError
from agem_tf.files.rows import StackedRows
from agem_tf.retrieval import nearest


def test_blocks_cover_all_queries_in_bounded_memory(monkeypatch):
    monkeypatch.setattr(nearest, "_BLOCK_VALUES", 12)
    rng = np.random.default_rng(0)
    queries, database = rng.normal(size=(7, 3)), rng.normal(size=(5, 3))
    blocks = list(nearest.similarity_blocks(queries, database))
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
    orders = nearest.largest_first(rows, top)
    for row, order in zip(rows, orders, strict=True):
        expected = sorted(range(10), key=lambda i, row=row: (-row[i], i))
        assert order.tolist() == expected[: len(order)]
        assert len(order) >= top


def test_omitted_photos_are_less_similar():
    row = np.array([[3, 1, 3, 0, 1]], np.float32)
    assert nearest.largest_first(row, 1)[0].tolist() == [0, 2]
    assert nearest.largest_first(row, 3)[0].tolist() == [0, 2, 1, 4]


def test_different_dimensions_are_refused():
    calls = (
        lambda *rows: list(nearest.similarity_blocks(*rows)),
        lambda *rows: nearest.nearest(*rows, top=2),
        nearest.rank,
    )
    for call in calls:
        with pytest.raises(UserError, match="3 dimensions and the database 4"):
            call(np.ones((2, 3)), np.ones((5, 4)))
        with pytest.raises(UserError, match="shapes"):
            call(np.ones(3), np.ones((5, 3)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("role", ["query", "database"])
@pytest.mark.parametrize("top", [3, 40])
def test_a_row_that_is_not_finite_is_named(monkeypatch, value, role, top):
    """Row 17 is in the third block of rows, and of queries."""
    monkeypatch.setattr(nearest, "_BLOCK_VALUES", 8 * 3)
    rows = {"query": np.ones((20, 3)), "database": np.ones((40, 3))}
    rows[role][17, 1] = value
    with pytest.raises(nearest.NotFiniteError, match=f"Row 17 .* {role}"):
        nearest.rank(rows["query"], rows["database"], top)


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_products_beyond_float32_are_refused():
    rows = np.full((2, 3), 1e30)
    with pytest.raises(UserError, match="exceed the range"):
        nearest.nearest(rows, rows, 1)


def test_rankings_equal_a_stable_sort():
    rng = np.random.default_rng(0)
    queries = rng.integers(-2, 3, size=(6, 4))
    database = rng.integers(-2, 3, size=(30, 4))
    ranks = nearest.rank(queries, database)
    similarities = queries @ database.T
    for row, order in zip(similarities, ranks.tolist(), strict=True):
        assert order == sorted(range(30), key=lambda i, row=row: (-row[i], i))


@pytest.mark.parametrize("top", [1, 7, 30, 31])
def test_a_shorter_ranking_is_the_start_of_the_whole(top):
    rng = np.random.default_rng(1)
    queries = rng.integers(-2, 3, size=(6, 4))
    database = rng.integers(-2, 3, size=(30, 4))
    np.testing.assert_array_equal(
        nearest.rank(queries, database, top),
        nearest.rank(queries, database)[:, :top],
    )


def test_an_empty_ranking_is_refused():
    with pytest.raises(ValueError, match="top=0"):
        nearest.rank(np.ones((2, 3)), np.ones((5, 3)), top=0)


def test_the_nearest_are_the_start_of_the_ranking_with_its_similarities():
    rng = np.random.default_rng(2)
    queries = rng.integers(-2, 3, size=(6, 4))
    database = rng.integers(-2, 3, size=(30, 4))
    indices, similarities = nearest.nearest(queries, database, top=7)
    np.testing.assert_array_equal(indices, nearest.rank(queries, database, 7))
    expected = np.take_along_axis(queries @ database.T, indices, axis=1)
    np.testing.assert_array_equal(similarities, expected)
    indices, similarities = nearest.nearest(queries, database, top=31)
    assert indices.shape == similarities.shape == (6, 30)


def _many_ties(queries, photos, dimension=4):
    rng = np.random.default_rng(3)
    rows = rng.integers(-2, 3, size=(queries + photos, dimension))
    return rows[:queries], rows[queries:]


@pytest.mark.parametrize("block_values", [4, 40, 300, 2**24])
@pytest.mark.parametrize("top", [1, 7, 60, 149])
def test_blocks_do_not_change_the_nearest(monkeypatch, block_values, top):
    monkeypatch.setattr(nearest, "_BLOCK_VALUES", block_values)
    queries, database = _many_ties(11, 150)
    products = queries @ database.T
    expected = np.argsort(-products, axis=1, kind="stable")[:, :top]
    indices, similarities = nearest.nearest(queries, database, top)
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_array_equal(
        similarities, np.take_along_axis(products, expected, axis=1)
    )


@pytest.mark.parametrize("order", ["rising", "falling"])
def test_a_sorted_database_gives_the_same_result(monkeypatch, order):
    """Every block is better than all before it, or none is."""
    monkeypatch.setattr(nearest, "_BLOCK_VALUES", 20)
    values = np.arange(200.0)[:, np.newaxis]
    database = values if order == "rising" else values[::-1].copy()
    indices, similarities = nearest.nearest(np.ones((1, 1)), database, 5)
    assert similarities[0].tolist() == [199, 198, 197, 196, 195]
    assert database[indices[0], 0].tolist() == similarities[0].tolist()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_memory_map_of_any_precision_gives_the_same_result(
    monkeypatch, tmp_path, dtype
):
    monkeypatch.setattr(nearest, "_BLOCK_VALUES", 64)
    queries, database = _many_ties(5, 90)
    np.save(tmp_path / "database.npy", database.astype(dtype))
    mapped = np.load(tmp_path / "database.npy", mmap_mode="r")
    for top in (6, None):
        np.testing.assert_array_equal(
            nearest.rank(queries, mapped, top),
            nearest.rank(queries, database, top),
        )


@pytest.mark.parametrize("photos", [1, 5, 3_001])
@pytest.mark.parametrize("values", [2**6, 2**12])
def test_one_query_finds_what_many_find(monkeypatch, photos, values):
    monkeypatch.setattr(nearest, "_PIECE_VALUES", values)
    queries, database = _many_ties(11, photos, dimension=12)
    many = nearest.nearest(queries, database.astype(np.float32), 9)
    for rows in (database.astype(np.float32), database.T.copy().T):
        one = nearest.nearest(queries[3:4], rows, 9)
        for found, expected in zip(one, many, strict=True):
            np.testing.assert_array_equal(found, expected[3:4])


@pytest.mark.parametrize("queries", [1, 11])
def test_without_dimensions_all_photos_tie(queries):
    indices, similarities = nearest.nearest(
        np.empty((queries, 0)), np.empty((7, 0)), 2
    )
    np.testing.assert_array_equal(indices, [[0, 1]] * queries)
    np.testing.assert_array_equal(similarities, np.zeros((queries, 2)))


def test_a_forked_process_searches_too():
    script = """
import os, signal
import numpy as np
from agem_tf.retrieval import nearest
rows = np.eye(5, dtype=np.float32)
nearest.nearest(rows[:1], rows, 2)
child = os.fork()
if not child:
    signal.alarm(20)
    nearest.nearest(rows[:1], rows, 2)
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_stacked_parts_give_the_result_of_one_array(monkeypatch):
    monkeypatch.setattr(nearest, "_BLOCK_VALUES", 64)
    queries, database = _many_ties(5, 90)
    stack = StackedRows([database[:31], database[31:].astype(np.float16)])
    for top in (6, None):
        np.testing.assert_array_equal(
            nearest.rank(queries, stack, top),
            nearest.rank(queries, database, top),
        )


def test_a_memory_map_is_never_read_as_a_whole(monkeypatch, tmp_path):
    monkeypatch.setattr(nearest, "_BLOCK_VALUES", 2**14)
    rows = np.ones((20_000, 64), np.float16)
    np.save(tmp_path / "database.npy", rows)
    mapped = np.load(tmp_path / "database.npy", mmap_mode="r")
    tracemalloc.start()
    nearest.nearest(rows[:3].astype(np.float32), mapped, 10)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < rows.nbytes / 4


def test_an_empty_database_gives_empty_rankings():
    assert nearest.rank(np.ones((2, 3)), np.ones((0, 3))).shape == (2, 0)
    indices, _ = nearest.nearest(np.ones((2, 3)), np.ones((0, 3)), 4)
    assert indices.shape == (2, 0)
    assert nearest.rank(np.ones((0, 3)), np.ones((5, 3))).shape == (0, 5)

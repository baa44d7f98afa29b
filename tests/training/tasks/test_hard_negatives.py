"""Hard negatives against the plain walk through the pool."""

import numpy as np
import pytest

from agem_tf.errors import UserError
from agem_tf.retrieval import nearest
from agem_tf.training.tasks.hard_negatives import mine_negatives


def _walk(queries, pool, query_clusters, pool_clusters, num_negatives):
    """The definition, one photo at a time."""
    result = []
    for query, cluster in zip(queries, query_clusters, strict=True):
        similarities = pool @ query
        order = sorted(range(len(pool)), key=lambda i: (-similarities[i], i))
        seen, negatives = {cluster}, []
        for index in order:
            if pool_clusters[index] not in seen:
                seen.add(pool_clusters[index])
                negatives.append(index)
        result.append(negatives[:num_negatives])
    return np.array(result)


def _integers(rng, *shape):
    """Small integers: exact in float32, and full of ties."""
    return rng.integers(-2, 3, size=shape).astype(np.float32)


@pytest.mark.parametrize("block_values", [500, 2**24])
@pytest.mark.parametrize("num_negatives", [1, 5])
def test_mining_equals_the_plain_walk(monkeypatch, block_values, num_negatives):
    monkeypatch.setattr(nearest, "_BLOCK_VALUES", block_values)
    rng = np.random.default_rng(0)
    arguments = (
        _integers(rng, 20, 6),
        _integers(rng, 200, 6),
        rng.integers(0, 9, 20),
        rng.integers(0, 9, 200),
        num_negatives,
    )
    np.testing.assert_array_equal(mine_negatives(*arguments), _walk(*arguments))


def test_a_query_among_few_landmarks_searches_further():
    """The nearest 900 photos are of two landmarks, one of them its own."""
    rng = np.random.default_rng(1)
    pool = np.abs(_integers(rng, 1000, 4)) * [1, 0, 0, 0]
    pool[:900, 0] += 10
    pool_clusters = np.arange(1000) // 100 + 5
    pool_clusters[:450], pool_clusters[450:900] = 1, 2
    queries = np.array([[1, 0, 0, 0], [-1, 0, 0, 0]], np.float32)
    pool_clusters[900:] = 3 + np.arange(100) // 25
    arguments = (queries, pool, np.array([1, 3]), pool_clusters, 5)
    np.testing.assert_array_equal(mine_negatives(*arguments), _walk(*arguments))


def test_equal_photos_are_taken_in_the_order_of_the_pool():
    pool = np.ones((50, 3), np.float32)
    negatives = mine_negatives(pool[:2], pool, [0, 4], np.arange(50) // 5, 3)
    assert negatives.tolist() == [[5, 10, 15], [0, 5, 10]]


def test_clusters_may_be_named():
    pool = np.eye(4, dtype=np.float32)
    query = np.array([[0.9, 0.8, 0.7, 0.6]])
    negatives = mine_negatives(query, pool, ["a"], ["a", "b", "b", "c"], 2)
    assert negatives.tolist() == [[1, 3]]


def test_a_pool_of_too_few_clusters_is_refused():
    pool = np.ones((6, 3), np.float32)
    pool_clusters = [0, 0, 1, 1, 2, 2]
    assert mine_negatives(pool[:1], pool, [9], pool_clusters, 3).shape == (1, 3)
    with pytest.raises(UserError, match=r"2 clusters other than .*1.* 3 neg"):
        mine_negatives(pool[:2], pool, [9, 1], pool_clusters, 3)


def test_faulty_input_is_refused():
    pool = np.ones((6, 3), np.float32)
    with pytest.raises(UserError, match="query_clusters"):
        mine_negatives(pool[:2], pool, [1], np.arange(6), 1)
    with pytest.raises(UserError, match="pool_clusters"):
        mine_negatives(pool[:2], pool, [1, 2], np.arange(5), 1)
    with pytest.raises(ValueError, match="num_negatives=0"):
        mine_negatives(pool[:2], pool, [1, 2], np.arange(6), 0)
    pool[3, 1] = np.nan
    with pytest.raises(UserError, match="NaN"):
        mine_negatives(np.ones((2, 3)), pool, [1, 2], np.arange(6), 1)

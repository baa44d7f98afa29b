"""Diffusion, online and offline, compared with loops."""

import numpy as np
import pytest

from agem_tf.retrieval.reranking import (
    Diffusion,
    OfflineDiffusion,
    rank_with,
    rerank,
)
from agem_tf.retrieval.reranking.diffusion import diffuse, transition_matrix


def _transitions_by_loop(database, num_neighbours):
    photos = len(database)
    near = []
    for i in range(photos):
        others = [j for j in range(photos) if j != i]
        others.sort(key=lambda j, i=i: -(database[i] @ database[j]))
        near.append(others[:num_neighbours])
    affinity = np.zeros((photos, photos))
    for i in range(photos):
        for j in near[i]:
            if i in near[j]:
                affinity[i, j] = max(database[i] @ database[j], 0) ** 3
    degrees = affinity.sum(axis=1)
    for i in range(photos):
        for j in range(photos):
            if affinity[i, j]:
                affinity[i, j] /= np.sqrt(degrees[i] * degrees[j])
    return affinity


def _solve_by_loop(transitions, signal, iterations=20, tolerance=1e-6):
    """Textbook conjugate gradients."""
    matrix = np.eye(len(signal)) - 0.99 * transitions
    solution = np.zeros(len(signal))
    residual = signal.copy()
    direction = residual.copy()
    for _ in range(iterations):
        if np.linalg.norm(residual) <= tolerance * np.linalg.norm(signal):
            break
        image = matrix @ direction
        step = residual @ residual / (direction @ image)
        solution = solution + step * direction
        new = residual - step * image
        direction = new + new @ new / (residual @ residual) * direction
        residual = new
    return solution


def _order_by_loop(queries, database, num_neighbours, starts, truncation):
    """Yields, per query, the photos of the walk and their f."""
    transitions = _transitions_by_loop(database, num_neighbours)
    for query in queries:
        similarities = database @ query
        nodes = np.argsort(-similarities)[:truncation]
        signal = np.zeros(len(nodes))
        for place in range(starts):
            signal[place] = max(similarities[nodes[place]], 0) ** 3
        inside = transitions[np.ix_(nodes, nodes)]
        yield nodes, _solve_by_loop(inside, signal)


def test_transitions_equal_a_loop(descriptors):
    _, database = descriptors
    actual = transition_matrix(database, 7).toarray()
    np.testing.assert_allclose(
        actual, _transitions_by_loop(database, 7), atol=1e-6
    )
    assert np.all(np.diag(actual) == 0)


def test_enough_iterations_solve_the_system(descriptors):
    _, database = descriptors
    transitions = transition_matrix(database, 7)
    signal = np.maximum(database @ database[5], 0) ** 3
    actual = diffuse(transitions, signal, 500, 1e-12)
    expected = np.linalg.solve(
        np.eye(70) - 0.99 * transitions.toarray(), signal
    )
    np.testing.assert_allclose(actual, expected, rtol=1e-8)


@pytest.mark.parametrize("truncation", [70, 1000, 30])
def test_rankings_equal_a_loop(descriptors, assert_sorted, truncation):
    queries, database = descriptors
    ranks = rerank(queries, database, [Diffusion(7, 4, truncation)])
    expected = _order_by_loop(queries, database, 7, 4, truncation)
    for ranking, query, (nodes, f) in zip(
        ranks, queries, expected, strict=True
    ):
        scores = np.full(70, -1.0)
        scores[nodes] = f
        assert_sorted(ranking, scores)
        beyond = ranking[len(nodes) :]
        assert np.all(np.diff(database[beyond] @ query) <= 1e-6)


def test_offline_columns_equal_a_loop(descriptors):
    _, database = descriptors
    transitions = _transitions_by_loop(database, 7)
    actual = OfflineDiffusion(7, 4, 25).columns(database).toarray()
    for photo, column in enumerate(actual):
        nodes = np.argsort(-(database @ database[photo]))[:25]
        signal = (nodes == photo).astype(float)
        expected = np.zeros(70)
        inside = transitions[np.ix_(nodes, nodes)]
        expected[nodes] = _solve_by_loop(inside, signal)
        np.testing.assert_allclose(column, expected, atol=1e-4)


def test_offline_rankings_follow_from_sums_of_columns(
    descriptors, assert_sorted
):
    queries, database = descriptors
    step = OfflineDiffusion(7, 4, 25)
    columns = step.columns(database).toarray()
    ranks = rerank(queries, database, [step])
    for ranking, query in zip(ranks, queries, strict=True):
        similarities = database @ query
        scores = np.zeros(70)
        for start in np.argsort(-similarities)[:4]:
            scores += max(similarities[start], 0) ** 3 * columns[start]
        assert_sorted(ranking, scores)


def test_offline_diffusion_equals_diffusion_without_truncation(
    descriptors, assert_sorted
):
    """Up to the residual of conjugate gradients after 20 iterations."""
    queries, database = descriptors
    ranks = rerank(queries, database, [OfflineDiffusion(7, 4, 70)])
    expected = _order_by_loop(queries, database, 7, 4, 70)
    for ranking, (nodes, f) in zip(ranks, expected, strict=True):
        scores = np.empty(70)
        scores[nodes] = f
        assert_sorted(ranking, scores, tolerance=1e-2 * scores.max())


@pytest.mark.parametrize("step", [Diffusion(2, 1), OfflineDiffusion(2, 1)])
def test_a_chain_of_similar_photos_is_followed(step):
    """Photo 10 is orthogonal to the query, photo 11 has no neighbour."""
    angles = np.radians(np.arange(0, 101, 10))
    chain = np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1)
    alone = [np.cos(np.pi / 4), 0, np.sin(np.pi / 4)]
    database = np.array([*chain, alone])
    query = database[:1]
    assert rerank(query, database)[0].tolist().index(11) < 10
    ranks = rank_with(query, database, step.prepare(database))
    assert ranks[0, -1] == 11


@pytest.mark.parametrize("step", [Diffusion(3, 3), OfflineDiffusion(3, 3)])
def test_a_query_without_similar_photos_keeps_its_ranking(step):
    database = np.array([[0.0, 1], [-0.6, 0.8], [-1, 0]])
    query = np.array([[1.0, 0]])
    ranks = rank_with(query, database, step.prepare(database))
    assert ranks.tolist() == [[0, 1, 2]]


@pytest.mark.parametrize("kind", [Diffusion, OfflineDiffusion])
def test_invalid_arguments_are_refused(kind):
    with pytest.raises(ValueError, match="truncation=0"):
        kind(truncation=0)
    with pytest.raises(ValueError, match="damping=1"):
        kind(damping=1)


@pytest.mark.parametrize("kind", [Diffusion, OfflineDiffusion])
def test_without_damping_only_neighbours_of_the_query_rise(descriptors, kind):
    """f = y, so that the ranking is that by similarity."""
    queries, database = descriptors
    step = kind(7, 10, damping=0)
    np.testing.assert_array_equal(
        rerank(queries, database, [step])[:, :10],
        rerank(queries, database)[:, :10],
    )

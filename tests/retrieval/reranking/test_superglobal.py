"""SuperGlobal re-ranking, compared with loops."""

import numpy as np
import pytest

from agem_tf.retrieval.reranking import SuperGlobal, rerank


def _scores_by_loop(query, candidates, num_neighbours, beta):
    refined = []
    for i, photo in enumerate(candidates):
        others = [j for j in range(len(candidates)) if j != i]
        others.sort(key=lambda j, p=photo: -(p @ candidates[j]))
        total, weights = photo.copy(), 1.0
        for j in others[:num_neighbours]:
            weight = beta * max(photo @ candidates[j], 0)
            total = total + weight * candidates[j]
            weights += weight
        refined.append(total / weights)
    leading = sorted(refined, key=lambda d: -(query @ d))
    maximum = [
        max(d[k] for d in leading[: num_neighbours + 1])
        for k in range(len(query))
    ]
    return np.array(
        [
            (query @ new + maximum @ old) / 2
            for new, old in zip(refined, candidates, strict=True)
        ]
    )


@pytest.mark.parametrize(
    ("num_candidates", "num_neighbours", "beta"),
    [(30, 4, 0.15), (70, 9, 0.15), (400, 69, 0.5)],
)
def test_rankings_equal_a_loop(
    descriptors, assert_sorted, num_candidates, num_neighbours, beta
):
    queries, database = descriptors
    step = SuperGlobal(num_candidates, num_neighbours, beta)
    for query, ranking in zip(
        queries, rerank(queries, database, [step]), strict=True
    ):
        order = np.argsort(-(database @ query))
        best, rest = order[:num_candidates], order[num_candidates:]
        scores = np.full(70, -2.0)
        scores[best] = _scores_by_loop(
            query, database[best], num_neighbours, beta
        )
        assert_sorted(ranking, scores)
        assert ranking[len(best) :].tolist() == rest.tolist()


def test_scores_equal_a_loop(descriptors):
    queries, database = descriptors
    actual = SuperGlobal(70, 4).scores(queries[1], database)
    expected = _scores_by_loop(queries[1], database, 4, 0.15)
    np.testing.assert_allclose(actual, expected, atol=1e-6)


def test_invalid_arguments_are_refused():
    with pytest.raises(ValueError, match="beta=0"):
        SuperGlobal(beta=0)

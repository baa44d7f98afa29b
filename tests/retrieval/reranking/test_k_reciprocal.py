"""k-reciprocal re-ranking, compared with loops over sets."""

import math

import numpy as np
import pytest

from agem_tf.retrieval.reranking import KReciprocal, rerank


class _Loop:
    """Formulas of the paper, for a database and a single query."""

    def __init__(self, database, k1, k2, share):
        self.database, self.k1, self.k2, self.share = database, k1, k2, share
        self.photos = range(len(database))
        self.plain = [
            self.encode(self.reciprocal(i, k1), database[i])
            for i in self.photos
        ]
        self.averaged = [
            self.average([self.plain[j] for j in self.near(i, k2 - 1)])
            for i in self.photos
        ]

    def near(self, i, k):
        """Returns the photo and its k nearest other photos."""
        others = [j for j in self.photos if j != i]
        others.sort(key=lambda j: -(self.database[i] @ self.database[j]))
        return [i, *others[:k]]

    def reciprocal(self, i, k):
        return {j for j in self.near(i, k) if i in self.near(j, k)}

    def encode(self, neighbours, vector):
        extended = set(neighbours)
        for candidate in neighbours:
            half = self.reciprocal(candidate, self.k1 // 2)
            if len(half & neighbours) >= 2 / 3 * len(half):
                extended |= half
        distance = {j: 2 - 2 * vector @ self.database[j] for j in extended}
        weights = {j: math.exp(-distance[j]) for j in extended}
        total = sum(weights.values())
        return {j: weight / total for j, weight in weights.items()}

    def average(self, encodings):
        total = dict.fromkeys(self.photos, 0.0)
        for encoding in encodings:
            for j, value in encoding.items():
                total[j] += value / self.k2
        return total

    def distances(self, query):
        similarities = self.database @ query
        order = np.argsort(-similarities)
        mutual = set()
        for j in order[: self.k1].tolist():
            k_th = self.near(j, self.k1)[-1]
            if similarities[j] >= self.database[j] @ self.database[k_th]:
                mutual.add(j)
        own = self.encode(mutual, query)
        nearest = [self.plain[j] for j in order[: self.k2 - 1]]
        mine = self.average([own, *nearest])
        for j in self.photos:
            theirs = self.averaged[j]
            low = sum(min(mine[p], theirs[p]) for p in self.photos)
            high = sum(max(mine[p], theirs[p]) for p in self.photos)
            squared = 2 - 2 * similarities[j]
            yield (1 - self.share) * (1 - low / high) + self.share * squared


@pytest.mark.parametrize(
    ("k1", "k2", "share"), [(6, 3, 0.3), (7, 1, 0.3), (9, 4, 0.0)]
)
def test_rankings_equal_a_loop(descriptors, assert_sorted, k1, k2, share):
    queries, database = descriptors
    ranks = rerank(queries, database, [KReciprocal(k1, k2, share)])
    loop = _Loop(database, k1, k2, share)
    for ranking, query in zip(ranks, queries, strict=True):
        assert_sorted(ranking, -np.array(list(loop.distances(query))))


def test_distance_weight_1_gives_the_plain_ranking(descriptors):
    ranks = rerank(*descriptors, [KReciprocal(6, 3, 1.0)])
    np.testing.assert_array_equal(ranks, rerank(*descriptors))


def test_a_query_does_not_depend_on_other_queries(descriptors):
    queries, database = descriptors
    together = rerank(queries, database, [KReciprocal(6, 3)])
    alone = rerank(queries[2:3], database, [KReciprocal(6, 3)])
    np.testing.assert_array_equal(together[2:3], alone)


def test_all_of_a_small_database_may_be_neighbours(descriptors):
    queries, database = descriptors
    ranks = rerank(queries, database[:6], [KReciprocal(6, 6)])
    assert np.all(np.sort(ranks) == np.arange(6))


def test_invalid_arguments_are_refused():
    for num_averaged in (0, 8):
        with pytest.raises(ValueError, match=f"num_averaged={num_averaged}"):
            KReciprocal(7, num_averaged)
    with pytest.raises(ValueError, match="distance_weight=1.5"):
        KReciprocal(distance_weight=1.5)

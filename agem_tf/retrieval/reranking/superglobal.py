"""SuperGlobal: the best photos refined by each other, then the query by them.

See Shao et al. (https://arxiv.org/abs/2308.06954).
"""

from dataclasses import dataclass

import numpy as np

from agem_tf.retrieval.reranking.steps import (
    RankingStep,
    Reorder,
    check_positive,
    nearest_others,
    similarity_weights,
)


@dataclass(frozen=True)
class SuperGlobal(RankingStep):
    """Orders the query's best photos by the mean of two similarities.

    Each photo d becomes d^ = (d + beta sum_j s_j d_j) / (1 + beta sum_j s_j)
    over its neighbours among the best; q^ is the element-wise maximum of the
    d^ most similar to the query, one more than neighbours; the mean is that of
    q . d^ and q^ . d. Photos beyond the best stay where they are. Negative
    s_j count as 0. The authors' program has q^ . d^ in place of the paper's
    q^ . d.

    Args:
        num_candidates: the best photos, M.
        num_neighbours: of each among the best, itself not counted, K.
        beta: weight of the neighbours, at least 0.
    """

    num_candidates: int = 400
    num_neighbours: int = 9
    beta: float = 0.15

    def __post_init__(self) -> None:
        check_positive(
            num_candidates=self.num_candidates,
            num_neighbours=self.num_neighbours,
            beta=self.beta,
        )

    def prepare(self, database: np.ndarray) -> Reorder:
        """See the base class; there is nothing to prepare."""

        def reorder(
            query: np.ndarray, similarities: np.ndarray, order: np.ndarray
        ) -> np.ndarray:
            best, rest = np.split(order, [self.num_candidates])
            scores = self.scores(query, np.asarray(database[best], np.float32))
            best = best[np.argsort(-scores, kind="stable")]
            return np.concatenate([best, rest])

        return reorder

    def scores(self, query: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """Scores the best photos of one query.

        Args:
            query: (dimension,).
            candidates: (photos, dimension) float32 of the best photos.

        Returns:
            (photos,), from -1 to 1 for descriptors of unit length.
        """
        refined = self._refine(candidates)
        similarities = refined @ query
        leading = np.argsort(-similarities, kind="stable")
        leading = leading[: self.num_neighbours + 1]
        expanded_query = refined[leading].max(axis=0)
        return (similarities + candidates @ expanded_query) / 2

    def _refine(self, candidates: np.ndarray) -> np.ndarray:
        indices, similarities = nearest_others(candidates, self.num_neighbours)
        weights = np.eye(len(candidates), dtype=np.float32)
        np.put_along_axis(
            weights,
            indices,
            np.float32(self.beta) * similarity_weights(similarities, 1),
            axis=1,
        )
        weights /= weights.sum(axis=1, keepdims=True)
        return weights @ candidates

"""SuperGlobal re-ranking: the best photos are refined, then the query.

Reference: Shao et al., https://arxiv.org/abs/2308.06954
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from agem_tf.retrieval.reranking.steps import (
    RankingStep,
    Reorder,
    check_positive,
    nearest_others,
    similarity_weights,
)

# Beyond it, neighbours alone count; sums of 1e38 are infinite in float32.
_LARGEST_BETA = 1000


@dataclass(frozen=True)
class SuperGlobal(RankingStep):
    """Re-ranks the M best photos of a query by (q . d^ + q^ . d) / 2.

    d^ = (d + beta sum_j s_j d_j) / (1 + beta sum_j s_j) is the mean of a photo
    and its K nearest among the M best, with negative s_j set to 0. q^ is the
    element-wise maximum of the K + 1 refined descriptors d^ most similar to
    the query. The other photos keep their places. The authors' program has
    q^ . d^ in place of the paper's q^ . d.

    Args:
        num_candidates: M, the number of photos re-ranked.
        num_neighbours: K, without the photo itself.
        beta: weight of the neighbours, positive.
    """

    compares_all: ClassVar[bool] = False

    num_candidates: int = 400
    num_neighbours: int = 9
    beta: float = 0.15

    def __post_init__(self) -> None:
        check_positive(
            num_candidates=self.num_candidates,
            num_neighbours=self.num_neighbours,
            beta=self.beta,
        )
        if self.beta > _LARGEST_BETA:
            raise ValueError(
                f"`beta` must be at most {_LARGEST_BETA}. "
                f"Received: beta={self.beta}"
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
        """Returns the scores of the best photos of one query.

        Args:
            query: (dimension,).
            candidates: (photos, dimension) float32 of the best photos.

        Returns:
            (photos,), in [-1, 1] for descriptors of unit length.
        """
        indices, similarities = nearest_others(candidates, self.num_neighbours)
        weights = np.eye(len(candidates), dtype=np.float32)
        np.put_along_axis(
            weights,
            indices,
            np.float32(self.beta) * similarity_weights(similarities, 1),
            axis=1,
        )
        weights /= weights.sum(axis=1, keepdims=True)
        refined = weights @ candidates
        similarities = refined @ query
        leading = np.argsort(-similarities, kind="stable")
        leading = leading[: self.num_neighbours + 1]
        expanded_query = refined[leading].max(axis=0)
        return (similarities + candidates @ expanded_query) / 2

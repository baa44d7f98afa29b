"""Diffusion whose linear systems are solved before the first query.

See Yang et al. (https://arxiv.org/abs/1811.10907).
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from agem_tf.search.reranking.diffusion import (
    diffuse,
    kernel,
    transition_matrix,
)
from agem_tf.search.reranking.steps import (
    RankingStep,
    Reorder,
    check_positive,
)
from agem_tf.similarity import largest_first, similarity_blocks


@dataclass(frozen=True)
class OfflineDiffusion(RankingStep):
    """f = sum_i y_i c_i over the query's neighbours, c_i solved beforehand.

    (I - 0.99 S) c_i = e_i, and the solution is linear in y, so that f is that
    of `Diffusion` but for the truncation, which is per photo here. A query
    costs a sum of a few sparse columns; the preparation one solution per
    photo, and 12 bytes for each photo in each column.

    Args:
        num_neighbours: of each photo in the graph.
        num_query_neighbours: where the walk starts.
        truncation: most similar photos that a photo's walk is confined to.
    """

    num_neighbours: int = 50
    num_query_neighbours: int = 10
    truncation: int = 1000

    def __post_init__(self) -> None:
        check_positive(**vars(self))

    def prepare(self, database: np.ndarray) -> Reorder:
        """See the base class; solves for every photo."""
        columns = self.columns(database)

        def reorder(
            query: np.ndarray, similarities: np.ndarray, order: np.ndarray
        ) -> np.ndarray:
            starts = order[: self.num_query_neighbours]
            scores = columns[starts].T @ kernel(similarities[starts])
            return order[np.argsort(-scores[order], kind="stable")]

        return reorder

    def columns(self, database: np.ndarray) -> sparse.csr_array:
        """Solves for every photo; scipy.sparse.save_npz keeps the result.

        Returns:
            (photos, photos) float64, whose row i is c_i.

        Raises:
            UserError: a descriptor is not finite.
        """
        transitions = transition_matrix(database, self.num_neighbours)
        nodes, values = [], []
        for start, block in similarity_blocks(database, database):
            top = min(self.truncation, len(database))
            for photo, order in enumerate(largest_first(block, top), start):
                near = _itself_first(photo, order)[:top]
                column = _column(transitions, near)
                nodes.append(near[column != 0])
                values.append(column[column != 0])
        lengths = [0, *(len(column) for column in values)]
        return sparse.csr_array(
            (np.concatenate(values), np.concatenate(nodes), np.cumsum(lengths)),
            shape=transitions.shape,
        )


def _itself_first(photo: int, order: np.ndarray) -> np.ndarray:
    """Also where copies of the photo have crowded it out of the order."""
    return np.concatenate([[photo], order[order != photo]])


def _column(transitions: sparse.csr_array, nodes: np.ndarray) -> np.ndarray:
    """The walk from the first of `nodes`, confined to them."""
    signal = np.zeros(len(nodes))
    signal[0] = 1
    return diffuse(transitions[nodes][:, nodes], signal)

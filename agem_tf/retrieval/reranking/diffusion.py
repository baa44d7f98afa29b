"""Random walks on the graph of similar photos, for queries as they come.

See Iscen et al. (https://arxiv.org/abs/1611.05113): photos that are reached
over many similar ones rise, also those that do not resemble the query.

Diffusion whose linear systems are solved before the first query.

See Yang et al. (https://arxiv.org/abs/1811.10907).
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import cg

from agem_tf.retrieval.nearest import largest_first, similarity_blocks
from agem_tf.retrieval.reranking.steps import (
    RankingStep,
    Reorder,
    check_positive,
    nearest_others,
    similarity_weights,
)

_POWER = 3
_DAMPING = 0.99
_MAX_ITERATIONS = 20
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Diffusion(RankingStep):
    """Solves (I - 0.99 S) f = y for each query and ranks by f.

    y_i = max(s_i, 0)^3 on the query's own neighbours, else 0; S is
    `transition_matrix`. Photos that no walk reaches have f = 0 and follow by
    similarity, as do those that were cut off.

    Args:
        num_neighbours: of each photo in the graph.
        num_query_neighbours: where the walk starts.
        truncation: most similar photos that a query's walk is confined to,
            which bounds its time in a large database.
    """

    num_neighbours: int = 50
    num_query_neighbours: int = 10
    truncation: int = 10_000

    def __post_init__(self) -> None:
        check_positive(**vars(self))

    def prepare(self, database: np.ndarray) -> Reorder:
        """See the base class; builds the graph."""
        transitions = transition_matrix(database, self.num_neighbours)

        def reorder(
            query: np.ndarray, similarities: np.ndarray, order: np.ndarray
        ) -> np.ndarray:
            nodes, rest = np.split(order, [self.truncation])
            signal = kernel(similarities[nodes])
            signal[self.num_query_neighbours :] = 0
            scores = diffuse(transitions[nodes][:, nodes], signal)
            nodes = nodes[np.argsort(-scores, kind="stable")]
            return np.concatenate([nodes, rest])

        return reorder


def kernel(similarities: np.ndarray) -> np.ndarray:
    """max(s, 0)^3 as float64."""
    return similarity_weights(similarities.astype(np.float64), _POWER)


def transition_matrix(
    database: np.ndarray, num_neighbours: int
) -> sparse.csr_array:
    """S = D^-1/2 A D^-1/2 of the mutual neighbours, D the row sums of A.

    A_ij = max(s_ij, 0)^3 if i and j are among each other's `num_neighbours`
    nearest other photos, else 0.

    Args:
        database: (photos, dimension), L2-normalised.
        num_neighbours: at least 1.

    Returns:
        (photos, photos) float64, symmetric.

    Raises:
        UserError: a descriptor is not finite.
    """
    indices, similarities = nearest_others(database, num_neighbours)
    photos, neighbours = indices.shape
    directed = sparse.csr_array(
        (
            kernel(similarities).ravel(),
            indices.ravel(),
            np.arange(photos + 1) * neighbours,
        ),
        shape=(photos, photos),
    )
    # The smaller of s_ij and nothing is nothing.
    mutual = directed.minimum(directed.T)
    degrees = mutual.sum(axis=1)
    scales = np.zeros(photos)
    scales[degrees > 0] = degrees[degrees > 0] ** -0.5
    scaling = sparse.diags_array(scales)
    return sparse.csr_array(scaling @ mutual @ scaling)


def diffuse(
    transitions: sparse.csr_array,
    signal: np.ndarray,
    max_iterations: int = _MAX_ITERATIONS,
    tolerance: float = _TOLERANCE,
) -> np.ndarray:
    """Solves (I - 0.99 S) f = y by conjugate gradients.

    Args:
        transitions: S, (nodes, nodes), symmetric.
        signal: y, (nodes,).
        max_iterations: at which the solution is taken as it is.
        tolerance: of the residual's norm, relative to that of `signal`.

    Returns:
        f, (nodes,) float64.
    """
    identity = sparse.eye_array(len(signal), format="csr")
    solution, _ = cg(
        identity - _DAMPING * transitions,
        signal,
        rtol=tolerance,
        maxiter=max_iterations,
    )
    return solution


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

"""Random walks on the graph of similar photos, for queries as they come.

See Iscen et al. (https://arxiv.org/abs/1611.05113): photos that are reached
over many similar ones rise, also those that do not resemble the query.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import cg

from agem_tf.search.reranking.neighbours import (
    nearest_others,
    similarity_weights,
)
from agem_tf.search.reranking.steps import (
    RankingStep,
    Reorder,
    check_positive,
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

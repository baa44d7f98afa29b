"""Diffusion: random walks on the graph of similar photos.

Photos connected to the query through many similar photos rise in the ranking,
even if they do not resemble the query. `Diffusion` solves one linear system
per query, `OfflineDiffusion` one per photo before the first query.

References:
  Iscen et al., https://arxiv.org/abs/1611.05113
  Yang et al., https://arxiv.org/abs/1811.10907: offline diffusion.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import cg

from agem_tf.retrieval.nearest import nearest
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
_CHUNK = 4096


@dataclass(frozen=True)
class Diffusion(RankingStep):
    """Solves (I - damping S) f = y for each query and ranks by f.

    y_i = max(s_i, 0)^3 for the nearest neighbours of the query, else 0; S is
    `transition_matrix`. Photos that no walk reaches have f = 0 and follow in
    the order of their similarity, as do those beyond the truncation.

    Args:
        num_neighbours: neighbours of each photo in the graph.
        num_query_neighbours: neighbours of the query, where walks start.
        truncation: number of most similar photos that the walks of a query
            are restricted to, which bounds the time in a large database.
        damping: share of a walk that continues, in [0, 1); the smaller, the
            closer the ranking is to that by similarity.
    """

    num_neighbours: int = 50
    num_query_neighbours: int = 10
    truncation: int = 10_000
    damping: float = _DAMPING

    def __post_init__(self) -> None:
        _check_arguments(self)

    def prepare(self, database: np.ndarray) -> Reorder:
        """See the base class; builds the graph."""
        transitions = transition_matrix(database, self.num_neighbours)

        def reorder(
            query: np.ndarray, similarities: np.ndarray, order: np.ndarray
        ) -> np.ndarray:
            nodes, rest = np.split(order, [self.truncation])
            signal = kernel(similarities[nodes])
            signal[self.num_query_neighbours :] = 0
            scores = diffuse(
                transitions[nodes][:, nodes], signal, damping=self.damping
            )
            nodes = nodes[np.argsort(-scores, kind="stable")]
            return np.concatenate([nodes, rest])

        return reorder


def kernel(similarities: np.ndarray) -> np.ndarray:
    """Returns max(s, 0)^3 as float64."""
    return similarity_weights(similarities.astype(np.float64), _POWER)


def transition_matrix(
    database: np.ndarray, num_neighbours: int
) -> sparse.csr_array:
    """Returns S = D^-1/2 A D^-1/2, where D are the row sums of A.

    A_ij = max(s_ij, 0)^3 if i and j are mutually among their `num_neighbours`
    nearest other photos, else 0.

    Args:
        database: (photos, dimension), L2-normalised.
        num_neighbours: neighbours of each photo, at least 1.

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
    # The minimum is 0 where one direction is missing.
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
    damping: float = _DAMPING,
) -> np.ndarray:
    """Solves (I - damping S) f = y by conjugate gradients.

    Args:
        transitions: S, (nodes, nodes), symmetric.
        signal: y, (nodes,).
        max_iterations: number of iterations after which the approximate
            solution is returned.
        tolerance: norm of the residual relative to that of `signal`, at which
            the iteration stops.
        damping: share of a walk that continues, in [0, 1).

    Returns:
        f, (nodes,) float64.
    """
    identity = sparse.eye_array(len(signal), format="csr")
    solution, _ = cg(
        identity - damping * transitions,
        signal,
        rtol=tolerance,
        maxiter=max_iterations,
    )
    return solution


@dataclass(frozen=True)
class OfflineDiffusion(RankingStep):
    """Ranks by f = sum_i y_i c_i over the neighbours of the query.

    The c_i solve (I - damping S) c_i = e_i and are computed in `prepare`. As
    the solution is linear in y, f equals that of `Diffusion` except for the
    truncation, which here is per photo. A query takes a sum of a few sparse
    columns; the preparation takes one solution per photo, and 12 bytes for
    each photo in each column.

    Args:
        num_neighbours: neighbours of each photo in the graph.
        num_query_neighbours: neighbours of the query, where walks start.
        truncation: number of most similar photos that the walks of a photo
            are restricted to.
        damping: see `Diffusion`.
    """

    num_neighbours: int = 50
    num_query_neighbours: int = 10
    truncation: int = 1000
    damping: float = _DAMPING

    def __post_init__(self) -> None:
        _check_arguments(self)

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
        """Solves for every photo.

        Returns:
            (photos, photos) float64; row i is c_i. It can be stored by
            scipy.sparse.save_npz.

        Raises:
            UserError: a descriptor is not finite.
        """
        transitions = transition_matrix(database, self.num_neighbours)
        nodes, values = [], []
        top = min(self.truncation, len(database))
        # The whole database is read once per chunk.
        for start in range(0, len(database), _CHUNK):
            chunk = database[start : start + _CHUNK]
            orders, _ = nearest(chunk, database, top)
            for photo, order in enumerate(orders, start):
                # The photo comes first, even if copies of it are as similar.
                near = np.concatenate([[photo], order[order != photo]])[:top]
                signal = np.zeros(len(near))
                signal[0] = 1
                column = diffuse(
                    transitions[near][:, near], signal, damping=self.damping
                )
                nodes.append(near[column != 0])
                values.append(column[column != 0])
        lengths = [0, *(len(column) for column in values)]
        return sparse.csr_array(
            (np.concatenate(values), np.concatenate(nodes), np.cumsum(lengths)),
            shape=transitions.shape,
        )


def _check_arguments(step: Diffusion | OfflineDiffusion) -> None:
    check_positive(
        num_neighbours=step.num_neighbours,
        num_query_neighbours=step.num_query_neighbours,
        truncation=step.truncation,
    )
    if not 0 <= step.damping < 1:
        raise ValueError(
            "`damping` must be at least 0 and less than 1. Received: "
            f"damping={step.damping}"
        )

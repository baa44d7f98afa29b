"""Hard negatives: the most similar photos of other landmarks.

After Radenovic, Tolias and Chum (https://arxiv.org/abs/1711.02512): at most one
negative per landmark, for variety.
"""

import numpy as np

from agem_tf.errors import UserError
from agem_tf.retrieval.nearest import largest_first, similarity_blocks

# Photos of the pool that are examined first, per negative. Where they are of
# too few landmarks, the next attempt examines eight times as many.
_CANDIDATES_PER_NEGATIVE = 12
_GROWTH = 8


def mine_negatives(
    query_descriptors: np.ndarray,
    pool_descriptors: np.ndarray,
    query_clusters: np.ndarray,
    pool_clusters: np.ndarray,
    num_negatives: int,
) -> np.ndarray:
    """Finds hard negatives.

    Each query goes through the pool by decreasing similarity (ties by
    increasing index) and takes photos of other clusters, at most one per
    cluster.

    Args:
        query_descriptors: (queries, dimension), L2-normalized.
        pool_descriptors: (photos, dimension), L2-normalized.
        query_clusters: (queries,) Landmark of each query.
        pool_clusters: (photos,) Landmark of each photo of the pool.
        num_negatives: Negatives per query, at least 1.

    Returns:
        (queries, num_negatives) int64 indices into the pool, hardest first.

    Raises:
        UserError: The pool has too few other clusters for a query, or a
            descriptor is not finite.
    """
    query_clusters = np.asarray(query_clusters)
    pool_clusters = np.asarray(pool_clusters)
    _check_lengths(query_descriptors, query_clusters, "query")
    _check_lengths(pool_descriptors, pool_clusters, "pool")
    _check_clusters(query_clusters, pool_clusters, num_negatives)
    negatives = np.empty((len(query_clusters), num_negatives), np.int64)
    for start, block in similarity_blocks(query_descriptors, pool_descriptors):
        rows = slice(start, start + len(block))
        negatives[rows] = _mine_block(
            block, query_clusters[rows], pool_clusters, num_negatives
        )
    return negatives


def _mine_block(
    similarities: np.ndarray,
    query_clusters: np.ndarray,
    pool_clusters: np.ndarray,
    num_negatives: int,
) -> np.ndarray:
    negatives = np.empty((len(similarities), num_negatives), np.int64)
    pending = np.arange(len(similarities))
    num_candidates = _CANDIDATES_PER_NEGATIVE * num_negatives
    while pending.size:
        # The first attempt takes every row; indexing would copy them.
        rows = similarities
        if len(pending) < len(similarities):
            rows = similarities[pending]
        orders = largest_first(rows, min(num_candidates, len(pool_clusters)))
        unfinished = []
        for query, order in zip(pending, orders, strict=True):
            found = _one_per_cluster(
                order, pool_clusters, query_clusters[query], num_negatives
            )
            if len(found) == num_negatives:
                negatives[query] = found
            else:
                unfinished.append(query)
        pending = np.asarray(unfinished, np.int64)
        num_candidates *= _GROWTH
    return negatives


def _one_per_cluster(
    order: np.ndarray,
    pool_clusters: np.ndarray,
    own_cluster: np.generic,
    num_negatives: int,
) -> np.ndarray:
    """The first photos of distinct other clusters, in the order given."""
    others = order[pool_clusters[order] != own_cluster]
    _, first = np.unique(pool_clusters[others], return_index=True)
    return others[np.sort(first)[:num_negatives]]


def _check_lengths(
    descriptors: np.ndarray, clusters: np.ndarray, name: str
) -> None:
    if clusters.ndim != 1 or len(descriptors) != len(clusters):
        raise UserError(
            f"`{name}_clusters` must name one cluster per descriptor. "
            f"Received: {len(descriptors)} descriptors and clusters of shape "
            f"{clusters.shape}"
        )


def _check_clusters(
    query_clusters: np.ndarray, pool_clusters: np.ndarray, num_negatives: int
) -> None:
    if num_negatives < 1:
        raise ValueError(
            "`num_negatives` must be at least 1. Received: "
            f"num_negatives={num_negatives}"
        )
    pool = np.unique(pool_clusters)
    others = len(pool) - np.isin(query_clusters, pool)
    if others.size and others.min() < num_negatives:
        cluster = query_clusters[int(np.argmin(others))]
        raise UserError(
            f"The pool has photos of {others.min()} clusters other than "
            f"{cluster}, fewer than the {num_negatives} negatives wanted; "
            "enlarge the pool or take fewer negatives."
        )

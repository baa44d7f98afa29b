"""Exact ranking of a database for every query."""

import numpy as np

from agem_tf.similarity import largest_first, similarity_blocks


def rank(
    query_descriptors: np.ndarray,
    database_descriptors: np.ndarray,
    top: int | None = None,
) -> np.ndarray:
    """Orders the database by falling dot product with each query.

    Photos of equal similarity keep the order of the database, so that scores
    do not depend on the machine's sort.

    Args:
        query_descriptors: (queries, dimension).
        database_descriptors: (photos, dimension), possibly a memory map.
        top: keep only so many photos; all by default.

    Returns:
        (queries, min(top, photos)) int32 database indices, best first.

    Raises:
        UserError: the dimensions differ, or a descriptor is not finite.
    """
    if top is not None and top < 1:
        raise ValueError(f"`top` must be positive. Received: top={top}")
    photos = len(database_descriptors)
    kept = photos if top is None else min(top, photos)
    ranks = np.empty((len(query_descriptors), kept), np.int32)
    for start, block in similarity_blocks(
        query_descriptors, database_descriptors
    ):
        for row, order in enumerate(largest_first(block, kept), start):
            ranks[row] = order[:kept]
    return ranks

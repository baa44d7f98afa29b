"""Exact nearest neighbours by dot product, in blocks of bounded memory.

The evaluation, re-ranking and the mining of negatives walk photos by
similarity; one implementation makes their order, ties included, the same
everywhere.
"""

from collections.abc import Iterator

import numpy as np

from agem_tf.errors import UserError

# Similarities held at a time: 64 MiB of float32.
_BLOCK_VALUES = 2**24


def similarity_blocks(
    query_descriptors: np.ndarray, database_descriptors: np.ndarray
) -> Iterator[tuple[int, np.ndarray]]:
    """Yields all dot products, a few queries at a time.

    Args:
        query_descriptors: (queries, dimension).
        database_descriptors: (photos, dimension), possibly a memory map.

    Yields:
        The index of the block's first query, and (queries of the block,
        photos) float32 similarities.

    Raises:
        UserError: the dimensions differ, or a descriptor is not finite.
    """
    queries = np.asarray(query_descriptors, np.float32)
    database = np.asarray(database_descriptors, np.float32)
    _check_shapes(queries, database)
    rows = max(1, _BLOCK_VALUES // max(1, len(database)))
    for start in range(0, len(queries), rows):
        similarities = queries[start : start + rows] @ database.T
        if not np.isfinite(similarities).all():
            raise UserError(
                "Descriptors hold NaN or infinite values; check the weights of "
                "the model that made them."
            )
        yield start, similarities


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
    kept = num_kept(top, len(database_descriptors))
    ranks = np.empty((len(query_descriptors), kept), np.int32)
    for start, block in similarity_blocks(
        query_descriptors, database_descriptors
    ):
        for row, order in enumerate(largest_first(block, kept), start):
            ranks[row] = order[:kept]
    return ranks


def nearest(
    query_descriptors: np.ndarray,
    database_descriptors: np.ndarray,
    top: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Finds the `top` photos of `rank`, and how similar they are.

    Args:
        query_descriptors: (queries, dimension).
        database_descriptors: (photos, dimension), possibly a memory map.
        top: at least 1.

    Returns:
        (queries, min(top, photos)) int32 database indices, best first, and
        their float32 dot products.

    Raises:
        UserError: the dimensions differ, or a descriptor is not finite.
    """
    kept = num_kept(top, len(database_descriptors))
    indices = np.empty((len(query_descriptors), kept), np.int32)
    similarities = np.empty(indices.shape, np.float32)
    for start, block in similarity_blocks(
        query_descriptors, database_descriptors
    ):
        for row, order in enumerate(largest_first(block, kept)):
            indices[start + row] = order[:kept]
            similarities[start + row] = block[row, order[:kept]]
    return indices, similarities


def largest_first(similarities: np.ndarray, top: int) -> list[np.ndarray]:
    """Orders the `top` most similar photos of each query.

    Args:
        similarities: (queries, photos) without NaN.
        top: how many photos to order, 1 to photos.

    Returns:
        Per query at least `top` indices by falling similarity, equal ones by
        rising index. More than `top` only if photos tie for the last place:
        every photo that is left out is less similar than the last one.
    """
    photos = similarities.shape[1]
    if top == photos:
        return list(np.argsort(-similarities, axis=1, kind="stable"))
    last = photos - top
    thresholds = np.partition(similarities, last, axis=1)[:, last]
    return [
        _order_above(row, threshold)
        for row, threshold in zip(similarities, thresholds, strict=True)
    ]


def num_kept(top: int | None, photos: int) -> int:
    """How long a ranking of `photos` is that was asked to end at `top`."""
    if top is not None and top < 1:
        raise ValueError(f"`top` must be positive. Received: top={top}")
    return photos if top is None else min(top, photos)


def _order_above(row: np.ndarray, threshold: np.floating) -> np.ndarray:
    candidates = np.flatnonzero(row >= threshold)
    return candidates[np.argsort(-row[candidates], kind="stable")]


def _check_shapes(queries: np.ndarray, database: np.ndarray) -> None:
    if queries.ndim != 2 or database.ndim != 2:
        raise UserError(
            "Descriptors must be (photos, dimension). Received: shapes "
            f"{queries.shape} and {database.shape}"
        )
    if queries.shape[1] != database.shape[1]:
        raise UserError(
            f"Queries have {queries.shape[1]} dimensions and the database "
            f"{database.shape[1]}; extract both with the same model."
        )

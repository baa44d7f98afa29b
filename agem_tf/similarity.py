"""Exact nearest neighbours by dot product, in blocks of bounded memory.

Both the evaluation and the mining of negatives walk photos by similarity; one
implementation makes their order, ties included, the same everywhere.
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

"""Steps in order: from descriptors to rankings."""

from collections.abc import Sequence

import numpy as np

from agem_tf.errors import UserError
from agem_tf.retrieval.nearest import (
    largest_first,
    num_kept,
    rank,
    similarity_blocks,
)
from agem_tf.retrieval.reranking.steps import RankingStep, Reorder, Step

# Neighbourhoods that a database must be able to fill.
_SIZES = ("num_neighbours", "num_query_neighbours")


def rerank(
    queries: np.ndarray,
    database: np.ndarray,
    steps: Sequence[Step] = (),
    top: int | None = None,
) -> np.ndarray:
    """Orders the database for every query after re-ranking.

    No step allocates a matrix of photos by photos, nor of queries by photos
    but for the result.

    Args:
        queries: (queries, dimension), L2-normalised.
        database: (photos, dimension), L2-normalised, possibly a memory map.
        steps: as `parse_rerank` gives them; none for the exact ranking.
        top: keep only so many photos; all by default.

    Returns:
        (queries, min(top, photos)) int32 database indices, best first.

    Raises:
        UserError: as `transform`.
    """
    queries, database, reorder = transform(queries, database, steps)
    if reorder is None:
        return rank(queries, database, top)
    return rank_with(queries, database, reorder, top)


def transform(
    queries: np.ndarray, database: np.ndarray, steps: Sequence[Step]
) -> tuple[np.ndarray, np.ndarray, Reorder | None]:
    """Does all of re-ranking but the ranking.

    Args:
        queries: (queries, dimension), L2-normalised.
        database: (photos, dimension), L2-normalised, possibly a memory map.
        steps: as `parse_rerank` gives them.

    Returns:
        New queries, the new database, and what re-ranks the order of a query,
        if the last step does.

    Raises:
        UserError: a ranking step is not the last one, a step wants more
            neighbours than there are photos, the dimensions differ, or a
            descriptor is not finite.
    """
    check_order(steps)
    _check_sizes(steps, len(database))
    for step in steps:
        if isinstance(step, RankingStep):
            return queries, database, step.prepare(database)
        queries, database = step.transform(queries, database)
    return queries, database, None


def rank_with(
    queries: np.ndarray,
    database: np.ndarray,
    reorder: Reorder,
    top: int | None = None,
) -> np.ndarray:
    """Orders the database for every query by a prepared ranking step.

    Args:
        queries: (queries, dimension), L2-normalised.
        database: that of `RankingStep.prepare`.
        reorder: what `RankingStep.prepare` gave, to serve many calls.
        top: keep only so many photos; all by default.

    Returns:
        (queries, min(top, photos)) int32 database indices, best first.

    Raises:
        UserError: the dimensions differ, or a descriptor is not finite.
    """
    photos = len(database)
    kept = num_kept(top, photos)
    ranks = np.empty((len(queries), kept), np.int32)
    for start, block in similarity_blocks(queries, database):
        for row, similarities in enumerate(block, start):
            order = largest_first(similarities[np.newaxis], photos)[0]
            query = np.asarray(queries[row], np.float32)
            ranks[row] = reorder(query, similarities, order)[:kept]
    return ranks


def check_order(steps: Sequence[Step]) -> None:
    """Refuses steps after a ranking step, which leaves no descriptors.

    Raises:
        UserError: it names the step.
    """
    for step in steps[:-1]:
        if isinstance(step, RankingStep):
            raise UserError(
                f"{type(step).__name__} gives a final ranking; make it the "
                "last step of re-ranking."
            )


def _check_sizes(steps: Sequence[Step], photos: int) -> None:
    for step in steps:
        for name in _SIZES:
            wanted = getattr(step, name, 0)
            if wanted > photos:
                raise UserError(
                    f"{type(step).__name__} wants {name}={wanted}, but the "
                    f"database has {photos} photos; take at most as many."
                )

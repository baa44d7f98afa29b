"""Steps in order: from descriptors to rankings."""

from collections.abc import Sequence

import numpy as np

from agem_tf.errors import UserError
from agem_tf.search.reranking.steps import (
    DescriptorStep,
    RankingStep,
    Reorder,
    Step,
)
from agem_tf.similarity import largest_first, num_kept, rank, similarity_blocks


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
        UserError: a ranking step is not the last one, the dimensions differ,
            or a descriptor is not finite.
    """
    check_order(steps)
    for step in steps:
        if isinstance(step, DescriptorStep):
            queries, database = step.transform(queries, database)
        else:
            return rank_with(queries, database, step.prepare(database), top)
    return rank(queries, database, top)


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
        orders = largest_first(block, photos)
        for row, (similarities, order) in enumerate(
            zip(block, orders, strict=True), start
        ):
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

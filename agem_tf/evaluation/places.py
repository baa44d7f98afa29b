"""Positions of the labelled photos of each query in its ranking.

Most protocols need nothing else, and no sorted database either: a photo's
position is the number of photos before it. Every similarity is computed once
and compared with others of the same matrix product, so that positions, ties
included, are those of a stable sort.
"""

import itertools
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self

import numpy as np

from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth, QueryTruth
from agem_tf.retrieval.nearest import (
    largest_first,
    num_kept,
    similarity_blocks,
)
from agem_tf.retrieval.reranking import Reorder

# (query, order (photos,) of the database) -> new order.
Verify = Callable[[int, np.ndarray], np.ndarray]

# Similarities held at a time, 512 MiB: of 133 queries and a million photos.
_BLOCK_VALUES = 2**27


@dataclass(frozen=True, eq=False)
class Places:
    """Labelled photos of each query, in the order of its ranking.

    Attributes:
        photos: database indices of the easy, hard and junk photos, per query.
        positions: number of database photos, junk included, before each of
            them; rising, per query.
    """

    photos: Sequence[np.ndarray]
    positions: Sequence[np.ndarray]

    @classmethod
    def in_rankings(cls, ranks: np.ndarray, ground_truth: GroundTruth) -> Self:
        """Finds the labelled photos in rankings.

        Args:
            ranks: (queries, photos or fewer) database indices, best first; -1
                where a ranking ends early, and indices beyond the ground
                truth's for distractors.
            ground_truth: ground truth of the same queries.

        Raises:
            UserError: there is not one ranking per query.
        """
        check_ranks(ranks, ground_truth)
        pairs = zip(ranks, ground_truth.queries, strict=True)
        positions = [
            np.flatnonzero(np.isin(ranking, query.labelled))
            for ranking, query in pairs
        ]
        found = zip(ranks, positions, strict=True)
        return cls([ranking[places] for ranking, places in found], positions)


@dataclass(frozen=True, eq=False)
class Found:
    """Result of searching the database for all queries.

    Attributes:
        places: positions of the labelled photos.
        ranks: (queries, top) int32 database indices, best first.
        similarities: (queries, top) float32, their dot products.
    """

    places: Places
    ranks: np.ndarray
    similarities: np.ndarray


def search_database(
    queries: np.ndarray,
    database: np.ndarray,
    truths: Sequence[QueryTruth],
    top: int,
    reorder: Reorder | None = None,
    verify: Verify | None = None,
) -> Found:
    """Finds the places of labelled photos and the best photos of each query.

    The database is read once per block of similarities, about a hundred
    queries against a million photos, which takes 0.5 GB of memory.

    Args:
        queries: (queries, dimension).
        database: (photos, dimension), possibly a memory map; distractors
            follow the photos that the ground truth names.
        truths: positives and junk of each query.
        top: number of photos kept of each ranking, or the whole database if
            it is smaller.
        reorder: re-ranks the order of one query; by default the order is that
            of the dot products, and the database is not sorted.
        verify: re-ranks that order by local features.

    Raises:
        UserError: the dimensions differ, or a descriptor is not finite.
    """

    def rerank(query: int, row: np.ndarray, order: np.ndarray) -> np.ndarray:
        if reorder is not None:
            order = reorder(np.asarray(queries[query], np.float32), row, order)
        if verify is not None:
            order = verify(query, order)
        return order

    return rank_similarities(
        similarity_blocks(queries, database, _BLOCK_VALUES),
        (len(queries), len(database)),
        truths,
        top,
        rerank if reorder or verify else None,
    )


def rank_similarities(
    blocks: Iterable[tuple[int, np.ndarray]],
    shape: tuple[int, int],
    truths: Sequence[QueryTruth],
    top: int,
    rerank: Callable[[int, np.ndarray, np.ndarray], np.ndarray] | None = None,
) -> Found:
    """Finds the places of labelled photos from similarities.

    Args:
        blocks: the number of the first query, and the (queries of the block,
            photos) float32 similarities, block by block.
        shape: numbers of queries and of photos.
        truths, top: see `search_database`.
        rerank: (query, its similarities, its order) -> its new order.
    """
    kept = num_kept(top, shape[1])
    photos, positions = [], []
    ranks = np.empty((shape[0], kept), np.int32)
    similarities = np.empty(ranks.shape, np.float32)

    def rank(query: int, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        labelled = truths[query].labelled
        if rerank is None:
            return _order(row, kept)[:kept], count_before(row, labelled)
        order = rerank(query, row, _order(row, len(row)))
        place_of = np.empty(len(order), np.int64)
        place_of[order] = np.arange(len(order))
        return order[:kept], place_of[labelled]

    # NumPy sorts and compares without holding the interpreter's lock.
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for start, block in blocks:
            ranked = threads.map(rank, itertools.count(start), block)
            for query, (best, places) in enumerate(ranked, start):
                ranks[query] = best
                similarities[query] = block[query - start, best]
                by_place = np.argsort(places)
                photos.append(truths[query].labelled[by_place])
                positions.append(places[by_place])
    return Found(Places(photos, positions), ranks, similarities)


def count_before(similarities: np.ndarray, photos: np.ndarray) -> np.ndarray:
    """Counts the photos that are ranked before each of the given ones.

    Args:
        similarities: (database,) of one query, without NaN.
        photos: (labelled,) database indices.

    Returns:
        (labelled,) integers: number of photos of greater similarity, or of
        equal similarity and a lower index.
    """
    if not photos.size:
        return np.empty(0, np.int64)
    own = similarities[photos]
    # NumPy's vector sort of plain values takes a seventh of the time of a
    # binary search for each of them, and a seventeenth of a stable argsort.
    rivals = np.sort(similarities[similarities >= own.min()])
    not_above = np.searchsorted(rivals, own, side="right")
    equal = not_above - np.searchsorted(rivals, own, side="left")
    positions = len(rivals) - not_above
    for place in np.flatnonzero(equal > 1):
        earlier = similarities[: photos[place]]
        positions[place] += np.count_nonzero(earlier == own[place])
    return positions


def check_ranks(ranks: np.ndarray, ground_truth: GroundTruth) -> None:
    """Checks that there is one ranking per query.

    Raises:
        UserError: the shape is not (queries, photos or fewer).
    """
    queries = len(ground_truth.queries)
    if ranks.ndim != 2 or len(ranks) != queries:
        raise UserError(
            f"The ground truth has {queries} queries, the ranking has shape "
            f"{ranks.shape}; rank the photos for the queries of this ground "
            "truth."
        )


def _order(similarities: np.ndarray, top: int) -> np.ndarray:
    return largest_first(similarities[np.newaxis], top)[0]

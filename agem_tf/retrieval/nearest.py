"""Exact nearest neighbours by dot product, in blocks of bounded memory.

Evaluation, re-ranking and hard-negative mining all order photos by similarity;
this one implementation gives them the same order, including ties. The database
may be a memory map in half precision: each block of rows is read and converted
while the previous one is multiplied.
"""

import functools
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from agem_tf.errors import UserError

# Values per block of similarities, and per block of rows: 64 MiB of float32.
_BLOCK_VALUES = 2**24
# Values per product in `nearest`; it is scanned while it is in the caches.
_PRODUCT_VALUES = 2**23
# At most the values of a memory page: reading every 1024th loads all pages.
_PAGE_VALUES = 2**10
# Up to so many queries, a product per row takes less time than one of matrices.
_FEW_QUERIES = 8
# Values that a thread multiplies by each query in turn, while it has them in
# its cache.
_PIECE_VALUES = 2**18
_NUM_THREADS = os.cpu_count() or 1
# Groups of photos per photo to find: with fewer, more candidates pass the
# bound; with more, computing the bound takes longer.
_GROUPS = 8
# With fewer, the vector units of the processor are not filled.
_LEAST_GROUPS = 512


class NotFiniteError(UserError):
    """Raised for a descriptor with NaN or infinite values.

    Attributes:
        role: "query" or "database".
        row: row of the descriptor among those.
    """

    def __init__(self, role: str, row: int) -> None:
        super().__init__(
            f"Row {row} of the {role} descriptors holds NaN or infinite "
            "values; check that photo and the weights of the model."
        )
        self.role, self.row = role, row


def similarity_blocks(
    query_descriptors: np.ndarray,
    database_descriptors: np.ndarray,
    max_values: int | None = None,
) -> Iterator[tuple[int, np.ndarray]]:
    """Yields all dot products, for a block of queries at a time.

    Args:
        query_descriptors: (queries, dimension).
        database_descriptors: (photos, dimension), possibly a memory map. It
            is read once per block of queries.
        max_values: largest number of similarities per block, 2**24 by
            default; a block has at least one query.

    Yields:
        The index of the first query of the block, and (queries of the block,
        photos) float32 similarities.

    Raises:
        UserError: the dimensions differ, or a descriptor is not finite.
    """
    _check_dimensions(query_descriptors, database_descriptors)
    photos = len(database_descriptors)
    rows = max(1, (max_values or _BLOCK_VALUES) // max(1, photos))
    for start in range(0, len(query_descriptors), rows):
        queries = np.asarray(
            query_descriptors[start : start + rows], np.float32
        )
        similarities = np.empty((len(queries), photos), np.float32)
        for first, block in row_blocks(database_descriptors):
            columns = slice(first, first + len(block))
            np.matmul(queries, block.T, out=similarities[:, columns])
            if not _is_finite(similarities[:, columns]):
                raise _not_finite(queries, start, block, first)
        yield start, similarities


def rank(
    query_descriptors: np.ndarray,
    database_descriptors: np.ndarray,
    top: int | None = None,
) -> np.ndarray:
    """Ranks the database by decreasing dot product with each query.

    Photos of equal similarity keep the order of the database, so that scores
    do not depend on the sorting algorithm. Copies of one photo may still be in
    either order: BLAS sums in a different order at the edges of its blocks,
    which changes the last digit of a product.

    Args:
        query_descriptors: (queries, dimension).
        database_descriptors: (photos, dimension), possibly a memory map.
        top: length of the rankings; all photos by default.

    Returns:
        (queries, min(top, photos)) int32 database indices, best first.

    Raises:
        UserError: the dimensions differ, or a descriptor is not finite.
    """
    photos = len(database_descriptors)
    kept = num_kept(top, photos)
    if kept < photos:
        return nearest(query_descriptors, database_descriptors, kept)[0]
    ranks = np.empty((len(query_descriptors), photos), np.int32)
    for start, block in similarity_blocks(
        query_descriptors, database_descriptors
    ):
        for row, similarities in enumerate(block, start):
            ranks[row] = np.argsort(-similarities, kind="stable")
    return ranks


def nearest(
    query_descriptors: np.ndarray,
    database_descriptors: np.ndarray,
    top: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the `top` photos of `rank` and their similarities.

    Args:
        query_descriptors: (queries, dimension).
        database_descriptors: (photos, dimension), possibly a memory map. It
            is read once.
        top: number of photos per query, at least 1.

    Returns:
        (queries, min(top, photos)) int32 database indices, best first, and
        their float32 dot products.

    Raises:
        UserError: the dimensions differ, or a descriptor is not finite.
    """
    _check_dimensions(query_descriptors, database_descriptors)
    kept = num_kept(top, len(database_descriptors))
    indices = np.empty((len(query_descriptors), kept), np.int32)
    similarities = np.full(indices.shape, -np.inf, np.float32)
    rows = max(kept, _rows_per_block(database_descriptors))
    rows = min(rows, len(database_descriptors))
    chunk = max(1, _PRODUCT_VALUES // max(1, rows))
    # Reused, as allocating new memory for each product takes longer.
    buffer = np.empty((min(chunk, len(query_descriptors)), rows), np.float32)
    is_few = len(indices) <= _FEW_QUERIES
    multiply = _multiply_by_few if is_few else _multiply
    for first, block in row_blocks(database_descriptors, rows, not is_few):
        for start in range(0, len(query_descriptors), chunk):
            part = slice(start, start + chunk)
            queries = np.asarray(query_descriptors[part], np.float32)
            products = buffer[: len(queries), : len(block)]
            multiply(queries, block, products)
            if not _is_finite(products):
                raise _not_finite(queries, start, block, first)
            _merge_block(indices[part], similarities[part], products, first)
    return indices, similarities


def largest_first(similarities: np.ndarray, top: int) -> list[np.ndarray]:
    """Returns the `top` most similar photos of each query, in order.

    Args:
        similarities: (queries, photos) without NaN.
        top: number of photos, from 1 to all.

    Returns:
        Per query at least `top` indices by decreasing similarity, ties by
        increasing index. More than `top` only if photos tie for the last
        place: every omitted photo is less similar than the last one.
    """
    photos = similarities.shape[1]
    if top == photos:
        return list(np.argsort(-similarities, axis=1, kind="stable"))
    # A lower bound, reached by `top` groups. Partitioning all similarities for
    # the exact value would take longer than multiplying the descriptors.
    bounds = _value_at_rank(_group_maxima(similarities, top), top)
    orders = []
    for row, bound in zip(similarities, bounds, strict=True):
        candidates = np.flatnonzero(row >= bound)
        values = row[candidates]
        last = len(values) - top
        best = candidates[values >= np.partition(values, last)[last]]
        orders.append(best[np.argsort(-row[best], kind="stable")])
    return orders


def num_kept(top: int | None, photos: int) -> int:
    """Returns the length of a ranking of `photos`, of which `top` are kept.

    Raises:
        ValueError: `top` is not positive.
    """
    if top is not None and top < 1:
        raise ValueError(f"`top` must be positive. Received: top={top}")
    return photos if top is None else min(top, photos)


def _rows_per_block(descriptors: np.ndarray) -> int:
    return max(1, _BLOCK_VALUES // max(1, descriptors.shape[1]))


def row_blocks(
    descriptors: np.ndarray,
    rows: int | None = None,
    load_pages: bool = True,
) -> Iterator[tuple[int, np.ndarray]]:
    """Yields blocks of rows as float32, reading the next block in a thread.

    Args:
        descriptors: (photos, dimension) of any real type, possibly a memory
            map.
        rows: rows per block; by default as many as fit in 64 MiB.
        load_pages: whether the thread reads rows that need no conversion from
            the disk, too.

    Yields:
        The index of the first row of the block, and (rows or fewer, dimension)
        float32, which may be overwritten two blocks later.
    """
    rows = min(rows or _rows_per_block(descriptors), max(1, len(descriptors)))
    shape = rows, descriptors.shape[1]
    buffers = np.empty(shape, np.float32), np.empty(shape, np.float32)

    def load(number: int) -> np.ndarray:
        block = descriptors[number * rows : (number + 1) * rows]
        is_ready = isinstance(block, np.ndarray) and block.dtype == np.float32
        if is_ready and block.flags.c_contiguous:
            if load_pages:
                block.reshape(-1)[::_PAGE_VALUES].sum()
            return np.asarray(block)
        copy = buffers[number % 2][: len(block)]
        np.copyto(copy, block)
        return copy

    with ThreadPoolExecutor(max_workers=1) as reader:
        coming = reader.submit(load, 0)
        for number in range(-(-len(descriptors) // rows)):
            block = coming.result()
            coming = reader.submit(load, number + 1)  # Empty after the last.
            yield number * rows, block


def _check_dimensions(queries: np.ndarray, database: np.ndarray) -> None:
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


def _multiply(
    queries: np.ndarray, block: np.ndarray, products: np.ndarray
) -> None:
    np.matmul(queries, block.T, out=products)


def _multiply_by_few(
    queries: np.ndarray, block: np.ndarray, products: np.ndarray
) -> None:
    """Multiplies as `_multiply`, at the speed at which rows are read.

    BLAS' product of a matrix and a vector takes two to three times as long as
    one product per row. The last digits differ from those of `_multiply`.
    """
    size = max(1, _PIECE_VALUES // max(1, block.shape[1]))
    share = -(-len(block) // _NUM_THREADS)

    def multiply(first: int) -> None:
        end = min(first + share, len(block))
        for start in range(first, end, size):
            piece = slice(start, min(start + size, end))
            for query, found in zip(queries, products, strict=True):
                np.vecdot(block[piece], query, out=found[piece])

    list(_threads().map(multiply, range(0, len(block), share)))


@functools.cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_NUM_THREADS, "nearest")


if hasattr(os, "register_at_fork"):
    # A forked process has none of the threads.
    os.register_at_fork(after_in_child=_threads.cache_clear)


def _merge_block(
    indices: np.ndarray,
    similarities: np.ndarray,
    products: np.ndarray,
    first: int,
) -> None:
    """Merges a block of photos into the nearest so far, in place.

    On ties, photos of earlier blocks come first.

    Args:
        indices: (queries, top) nearest photos so far.
        similarities: (queries, top) their similarities.
        products: (queries, rows) similarities of the block.
        first: index of the first photo of the block.
    """
    queries, top = similarities.shape
    rows, columns = _candidates(products, top, similarities[:, -1])
    numbers = np.arange(queries)
    owners = np.concatenate([np.repeat(numbers, top), rows])
    values = np.concatenate([similarities.ravel(), products[rows, columns]])
    photos = np.concatenate([indices.ravel(), columns + first])
    order = np.lexsort((photos, -values, owners))
    starts = np.searchsorted(owners[order], numbers)
    best = order[starts[:, np.newaxis] + np.arange(top)]
    indices[:], similarities[:] = photos[best], values[best]


def _candidates(
    products: np.ndarray, top: int, worst: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns row and column indices of products that may be among the best.

    These are all products above the `worst` so far, without most of those that
    cannot be among the `top` of the block.
    """
    levels = np.nextafter(worst, np.float32(np.inf))
    maxima = _group_maxima(products, top)
    groups = maxima.shape[1]
    size = products.shape[1] // groups
    if groups >= top:
        levels = np.maximum(levels, _value_at_rank(maxima, top))
    levels = levels[:, np.newaxis]
    rows, passing = np.nonzero(maxima >= levels)
    rows = np.repeat(rows, size)
    columns = (passing[:, np.newaxis] + groups * np.arange(size)).ravel()
    above = products[rows, columns] >= levels[rows, 0]
    rest_rows, rest = np.nonzero(products[:, size * groups :] >= levels)
    return (
        np.concatenate([rows[above], rest_rows]),
        np.concatenate([columns[above], rest + size * groups]),
    )


def _group_maxima(similarities: np.ndarray, top: int) -> np.ndarray:
    """Returns (queries, groups), the largest similarity per group of photos.

    Group g consists of the photos g, g + groups, ... The last photos, fewer
    than the groups, are left out. If there are few photos, each is a group.
    """
    photos = similarities.shape[1]
    size = photos // max(_GROUPS * top, _LEAST_GROUPS)
    if size < 2:
        return similarities
    groups = photos // size
    maxima = similarities[:, :groups].copy()
    for start in range(groups, size * groups, groups):
        part = similarities[:, start : start + groups]
        np.maximum(maxima, part, out=maxima)
    return maxima


def _value_at_rank(values: np.ndarray, top: int) -> np.ndarray:
    """Returns the `top`-th largest value of each row."""
    last = values.shape[1] - top
    return np.partition(values, last, axis=1)[:, last]


def _is_finite(values: np.ndarray) -> bool:
    """Returns whether all values are finite, without a temporary array."""
    if not values.size:
        return True
    return bool(np.isfinite(values.min()) and np.isfinite(values.max()))


def _not_finite(
    queries: np.ndarray, start: int, block: np.ndarray, first: int
) -> UserError:
    """Returns the error for a product that is not finite."""
    for role, rows, offset in (
        ("query", queries, start),
        ("database", block, first),
    ):
        faulty = ~np.isfinite(rows).all(axis=1)
        if faulty.any():
            return NotFiniteError(role, offset + int(faulty.argmax()))
    return UserError(
        "Dot products of the descriptors exceed the range of float32; "
        "normalize the descriptors to unit length."
    )

"""Exact nearest neighbours by dot product, in blocks of bounded memory.

The evaluation, re-ranking and the mining of negatives walk photos by
similarity; one implementation makes their order, ties included, the same
everywhere. Databases may lie on disk, in half precision: rows are read and
converted a block at a time, while the block before is being multiplied.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from agem_tf.errors import UserError

# Values held at a time, of similarities and of rows: 64 MiB of float32 each.
_BLOCK_VALUES = 2**24
# Those of a product that is looked through at once, and stays in the caches.
_PRODUCT_VALUES = 2**23
# Less than those of a page: a look at one of them has the page read.
_PAGE_VALUES = 2**10
# Groups of photos for each one wanted: with fewer, more candidates pass the
# bound; with more, the bound itself takes longer.
_GROUPS = 8
# Below it, the processor's vectors are not filled.
_LEAST_GROUPS = 512


class NotFiniteError(UserError):
    """A descriptor with NaN or infinite values.

    Attributes:
        role: "query" or "database".
        row: which of those.
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
    """Yields all dot products, a few queries at a time.

    Args:
        query_descriptors: (queries, dimension).
        database_descriptors: (photos, dimension), possibly a memory map. It
            is read once for each block of queries.
        max_values: similarities of a block, 2**24 by default; a block has at
            least one query.

    Yields:
        The index of the block's first query, and (queries of the block,
        photos) float32 similarities.

    Raises:
        UserError: the dimensions differ, or a descriptor is not finite.
    """
    check_shapes(query_descriptors, database_descriptors)
    photos = len(database_descriptors)
    rows = max(1, (max_values or _BLOCK_VALUES) // max(1, photos))
    for start in range(0, len(query_descriptors), rows):
        queries = _float32(query_descriptors[start : start + rows])
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
    """Orders the database by falling dot product with each query.

    Photos of equal similarity keep the order of the database, so that scores
    do not depend on the machine's sort. Copies of one photo may still stand in
    either order: at the edges of its blocks BLAS adds in another order, which
    changes the last digit of a product.

    Args:
        query_descriptors: (queries, dimension).
        database_descriptors: (photos, dimension), possibly a memory map.
        top: keep only so many photos; all by default.

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
    """Finds the `top` photos of `rank`, and how similar they are.

    Args:
        query_descriptors: (queries, dimension).
        database_descriptors: (photos, dimension), possibly a memory map. It
            is read once.
        top: at least 1.

    Returns:
        (queries, min(top, photos)) int32 database indices, best first, and
        their float32 dot products.

    Raises:
        UserError: the dimensions differ, or a descriptor is not finite.
    """
    check_shapes(query_descriptors, database_descriptors)
    kept = num_kept(top, len(database_descriptors))
    indices = np.empty((len(query_descriptors), kept), np.int32)
    similarities = np.full(indices.shape, -np.inf, np.float32)
    rows = max(kept, rows_in_block(database_descriptors))
    rows = min(rows, len(database_descriptors))
    chunk = max(1, _PRODUCT_VALUES // max(1, rows))
    # Used again and again: the system takes longer to hand out fresh memory.
    buffer = np.empty((min(chunk, len(query_descriptors)), rows), np.float32)
    for first, block in row_blocks(database_descriptors, rows):
        for start in range(0, len(query_descriptors), chunk):
            part = slice(start, start + chunk)
            queries = _float32(query_descriptors[part])
            products = buffer[: len(queries), : len(block)]
            np.matmul(queries, block.T, out=products)
            if not _is_finite(products):
                raise _not_finite(queries, start, block, first)
            _take_over(indices[part], similarities[part], products, first)
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
    # As many groups reach it as photos are wanted; sorting the similarities for
    # the exact one would take longer than multiplying the descriptors.
    bounds = _in_place(_group_maxima(similarities, top), top)
    return [
        _order_above(row, bound, top)
        for row, bound in zip(similarities, bounds, strict=True)
    ]


def num_kept(top: int | None, photos: int) -> int:
    """How long a ranking of `photos` is that was asked to end at `top`."""
    if top is not None and top < 1:
        raise ValueError(f"`top` must be positive. Received: top={top}")
    return photos if top is None else min(top, photos)


def rows_in_block(descriptors: np.ndarray) -> int:
    """How many rows are read at a time."""
    return max(1, _BLOCK_VALUES // max(1, descriptors.shape[1]))


def row_blocks(
    descriptors: np.ndarray, rows: int | None = None
) -> Iterator[tuple[int, np.ndarray]]:
    """Yields rows as float32, and reads the next ones meanwhile.

    Args:
        descriptors: (photos, dimension) of any real type, possibly a memory
            map.
        rows: of a block; by default those of 64 MiB.

    Yields:
        The index of the block's first row, and (rows or fewer, dimension)
        float32, which may be overwritten two blocks later.
    """
    rows = min(rows or rows_in_block(descriptors), max(1, len(descriptors)))
    shape = rows, descriptors.shape[1]
    buffers = np.empty(shape, np.float32), np.empty(shape, np.float32)

    def load(number: int) -> np.ndarray:
        block = descriptors[number * rows : (number + 1) * rows]
        return _in_memory(block, buffers[number % 2])

    with ThreadPoolExecutor(max_workers=1) as reader:
        coming = reader.submit(load, 0)
        for number in range(-(-len(descriptors) // rows)):
            block = coming.result()
            coming = reader.submit(load, number + 1)  # Empty after the last.
            yield number * rows, block


def check_shapes(queries: np.ndarray, database: np.ndarray) -> None:
    """Refuses descriptors that can't be multiplied.

    Raises:
        UserError: they are not both (photos, dimension).
    """
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


def _take_over(
    indices: np.ndarray,
    similarities: np.ndarray,
    products: np.ndarray,
    first: int,
) -> None:
    """Lets the photos of a block into the best so far, in place.

    An equal photo of an earlier block stays before them.
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
    """The queries and photos of what may be among the best of a block.

    All products above the `worst` so far, without most of those that cannot be
    among the `top` of the block.
    """
    levels = np.nextafter(worst, np.float32(np.inf))
    maxima = _group_maxima(products, top)
    groups = maxima.shape[1]
    size = products.shape[1] // groups
    if groups >= top:
        levels = np.maximum(levels, _in_place(maxima, top))
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
    """(queries, groups) the largest of each group of photos.

    Group g has the photos g, g + groups, ... The last photos, too few for one
    more of each group, are left out. Few photos are a group each.
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


def _in_place(values: np.ndarray, top: int) -> np.ndarray:
    """The value of each row that `top` of its values reach."""
    last = values.shape[1] - top
    return np.partition(values, last, axis=1)[:, last]


def _order_above(row: np.ndarray, bound: np.floating, top: int) -> np.ndarray:
    candidates = np.flatnonzero(row >= bound)
    values = row[candidates]
    last = len(values) - top
    best = candidates[values >= np.partition(values, last)[last]]
    return best[np.argsort(-row[best], kind="stable")]


def _float32(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows, np.float32)


def _in_memory(block: np.ndarray, buffer: np.ndarray) -> np.ndarray:
    """The block itself if it is of float32, read from the disk; else a copy."""
    if isinstance(block, np.ndarray) and block.dtype == np.float32:
        block[:, ::_PAGE_VALUES].sum()
        return np.asarray(block)
    copy = buffer[: len(block)]
    np.copyto(copy, block)
    return copy


def _is_finite(values: np.ndarray) -> bool:
    """Whether no value is NaN or infinite, without an array of answers."""
    if not values.size:
        return True
    return bool(np.isfinite(values.min()) and np.isfinite(values.max()))


def _not_finite(
    queries: np.ndarray, start: int, block: np.ndarray, first: int
) -> UserError:
    """What is wrong with a block's product."""
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

"""The square regions of R-MAC, and sums of descriptors over them.

The grid is integer arithmetic on heights and widths that are either Python
integers or scalar tensors, so that one formula covers maps whose size is known
when the graph is built and maps whose size is not.
"""

from collections.abc import Callable

import numpy as np
from keras import ops

from agem_tf.ops.precision import Tensor

# Scales of regions, and cells per side of a pyramid. A level has about the
# square of its number of regions: a preset of 300 levels took 10 s per photo,
# one of 16,384 never ended.
MAX_LEVELS = 32


def rmac_regions(
    height: int, width: int, levels: int = 3
) -> list[tuple[int, int, int]]:
    """Lists the regions of a map as (y, x, size), coarse levels first.

    Args:
        height: Rows of the map, at least 1.
        width: Columns of the map, at least 1.
        levels: Number of scales. Level `l` has regions of side
            `2 * min(height, width) // (l + 1)`, at least one position.

    Returns:
        Top row, left column and side of every square, in positions of the
        map, row by row. The whole map is not among them.

    Reference:
        [Tolias et al., 2016](https://arxiv.org/abs/1511.05879)
    """
    regions = []
    for level in range(1, levels + 1):
        size, rows, columns = region_grid(height, width, level)
        regions += [(int(y), int(x), int(size)) for y in rows for x in columns]
    return regions


def region_grid(
    height: int | Tensor, width: int | Tensor, level: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the side, first rows and first columns of a level's squares.

    The starts are spread evenly from 0 to the border and rounded down. Integer
    arithmetic makes this exact: with the usual float step the last start is
    short of the border by one position for some sizes, and for other sizes in
    float64 than in float32.

    Args:
        height: Rows of the map, an integer or a scalar integer tensor.
        width: Columns of the map, an integer or a scalar integer tensor.
        level: The scale, from 1.

    Returns:
        NumPy values if both sizes are integers, else tensors.
    """
    array = _array_module(height, width)
    extra = _extra_regions(height, width, array)
    shorter = array.minimum(height, width)
    size = array.maximum(2 * shorter // (level + 1), 1)

    def starts(side):
        count = level + array.where(side > shorter, extra, 0)
        indices = array.arange(count, dtype="int32")
        return indices * (side - size) // array.maximum(count - 1, 1)

    return size, starts(height), starts(width)


def _array_module(height, width):
    """Returns NumPy for integers, which keeps shapes static, else keras.ops."""
    static = isinstance(height, int) and isinstance(width, int)
    return np if static else ops


def _extra_regions(height, width, array):
    """Returns how many more regions the longer side holds than the shorter.

    Neighbours of a first-level row of k + 1 squares overlap by 1 - d / k, where
    d is (longer - shorter) / shorter. The k whose overlap is nearest to 0.4
    passes from k to k + 1 where d exceeds 1.2 k (k + 1) / (2 k + 1).
    """
    shorter = array.minimum(height, width)
    excess = array.maximum(height, width) - shorter
    k = np.arange(1, 6, dtype="int32")
    passed = 5 * (2 * k + 1) * excess > 6 * k * (k + 1) * shorter
    return array.where(excess > 0, 1 + array.count_nonzero(passed), 0)


def sum_over_regions(
    x: Tensor, describe: Callable[[Tensor], Tensor], levels: int = 3
) -> Tensor:
    """Sums the descriptors of the whole map and of all its regions.

    Args:
        x: Tensor of shape (batch, height, width, channels); the height and
            width may be unknown when the graph is built.
        describe: Function from (any, side, side, channels) to (any, dimension).
        levels: Number of scales, as in `rmac_regions`.

    Returns:
        Tensor of shape (batch, dimension).
    """
    total = describe(x)
    for level in range(1, levels + 1):
        crops, count = _crop_level(x, level)
        descriptors = describe(crops)
        by_image = (-1, count, descriptors.shape[-1])
        total += ops.sum(ops.reshape(descriptors, by_image), axis=1)
    return total


def region_maxima(x: Tensor, level: int) -> Tensor:
    """Returns the maxima of a level's regions.

    The maximum is separable, which needs a fraction of the crops' memory.

    Args:
        x: Tensor of shape (batch, height, width, channels), of any size.
        level: The scale, from 1.

    Returns:
        Tensor of shape (batch, rows of regions, columns of regions, channels).
    """
    return _reduce_regions(x, level, ops.max)


def region_means(x: Tensor, level: int) -> Tensor:
    """Returns the means of a level's regions; see `region_maxima`."""
    return _reduce_regions(x, level, ops.mean)


def _reduce_regions(x, level, reduce):
    rows, columns = _level_indices(x, level)
    by_row = reduce(ops.take(x, rows, axis=1), axis=2)
    return reduce(ops.take(by_row, columns, axis=2), axis=3)


def _crop_level(x, level):
    """Returns a level's crops, image by image, and their number per image."""
    rows, columns = _level_indices(x, level)
    crops = ops.take(ops.take(x, rows, axis=1), columns, axis=3)
    crops = ops.transpose(crops, (0, 1, 3, 2, 4, 5))
    num_rows, size = ops.shape(rows)
    num_columns = ops.shape(columns)[0]
    crops = ops.reshape(crops, (-1, size, size, x.shape[-1]))
    return crops, num_rows * num_columns


def _level_indices(x, level):
    """Returns the rows and the columns of the regions, each (regions, side)."""
    _, height, width, _ = ops.shape(x)
    size, first_rows, first_columns = region_grid(height, width, level)
    inside = _array_module(height, width).arange(size, dtype="int32")
    return first_rows[:, None] + inside, first_columns[:, None] + inside

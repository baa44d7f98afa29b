"""The R-MAC grid: published sizes, exactness, and maps of unknown size."""

from fractions import Fraction
from math import floor

import keras
import numpy as np
import pytest

from agem_tf.ops import l2_normalize, mac, rmac_regions, sum_over_regions

# (height, width): (size, first rows, first columns) of each level, from the
# grid of github.com/filipradenovic/cnnimageretrieval-pytorch.
GOLDEN = {
    (12, 12): [
        (12, [0], [0]),
        (8, [0, 4], [0, 4]),
        (6, [0, 3, 6], [0, 3, 6]),
    ],
    (24, 32): [
        (24, [0], [0, 8]),
        (16, [0, 8], [0, 8, 16]),
        (12, [0, 6, 12], [0, 6, 13, 20]),
    ],
    (8, 12): [
        (8, [0], [0, 4]),
        (5, [0, 3], [0, 3, 7]),
        (4, [0, 2, 4], [0, 2, 5, 8]),
    ],
    (7, 7): [(7, [0], [0]), (4, [0, 3], [0, 3]), (3, [0, 2, 4], [0, 2, 4])],
    (11, 32): [
        (11, [0], [0, 7, 14, 21]),
        (7, [0, 4], [0, 6, 12, 18, 25]),
        (5, [0, 3, 6], [0, 5, 10, 16, 21, 27]),
    ],
}


@pytest.mark.parametrize("sides", GOLDEN)
def test_regions_of_published_sizes(sides):
    expected = [
        (y, x, size)
        for size, rows, columns in GOLDEN[sides]
        for y in rows
        for x in columns
    ]
    assert rmac_regions(*sides) == expected
    transposed = sorted((x, y, size) for y, x, size in expected)
    assert sorted(rmac_regions(*sides[::-1])) == transposed


def _exact_regions(height, width, levels):
    """The grid's definition in exact fractions."""
    shorter, longer = min(height, width), max(height, width)

    def overlap_error(steps):
        stride = Fraction(longer - shorter, steps - 1)
        overlap = (shorter**2 - shorter * stride) / shorter**2
        return abs(overlap - Fraction(2, 5))

    extra = min(range(2, 8), key=overlap_error) - 1 if longer > shorter else 0
    regions = []
    for level in range(1, levels + 1):
        size = 2 * shorter // (level + 1)
        starts = []
        for side in (height, width):
            count = level + extra * (side > shorter)
            step = Fraction(side - size, max(count - 1, 1))
            starts.append([floor(i * step) for i in range(count)])
        regions += [(y, x, size) for y in starts[0] for x in starts[1]]
    return regions


def test_grid_is_exact_and_inside_every_map():
    for height in range(2, 40):
        for width in range(2, 80, 3):
            regions = rmac_regions(height, width, levels=4)
            if min(height, width) > 2:
                assert regions == _exact_regions(height, width, 4)
            assert all(
                0 <= y <= height - size and 0 <= x <= width - size
                for y, x, size in regions
            )


def test_a_map_of_one_position_has_regions():
    assert set(rmac_regions(1, 1)) == {(0, 0, 1)}


@pytest.mark.parametrize("sides", [(9, 6), (5, 17), (8, 8)])
def test_sum_over_regions_equals_a_loop(sides):
    x = np.random.default_rng(1).random((3, *sides, 4), dtype="float32")
    expected = x.max((1, 2)).astype("float64")
    for row, column, size in rmac_regions(*sides):
        crop = x[:, row : row + size, column : column + size]
        expected += crop.max((1, 2))
    np.testing.assert_allclose(sum_over_regions(x, mac), expected, rtol=1e-5)


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="sizes are always known"
)
def test_one_graph_takes_every_map_size():
    tensorflow = pytest.importorskip("tensorflow")
    signature = [tensorflow.TensorSpec((None, None, None, 4))]

    def describe(crops):
        return l2_normalize(mac(crops))

    graph = tensorflow.function(
        lambda x: sum_over_regions(x, describe), input_signature=signature
    )
    for shape in [(3, 9, 6, 4), (1, 5, 17, 4), (2, 1, 3, 4)]:
        x = np.random.default_rng(2).random(shape, dtype="float32")
        np.testing.assert_allclose(
            graph(x), sum_over_regions(x, describe), rtol=1e-6
        )

"""Largest connected components against a flood fill."""

import numpy as np
import pytest

from agem_tf.ops import largest_component

STEPS = {
    4: [(0, 1), (0, -1), (1, 0), (-1, 0)],
    8: [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)],
}


def _flood_fill(mask, start, connectivity):
    component, frontier = {start}, [start]
    while frontier:
        row, column = frontier.pop()
        for down, right in STEPS[connectivity]:
            place = (row + down, column + right)
            inside = all(0 <= place[i] < mask.shape[i] for i in (0, 1))
            if inside and mask[place] and place not in component:
                component.add(place)
                frontier.append(place)
    return component


def _largest(mask, connectivity):
    components = [
        _flood_fill(mask, tuple(place), connectivity)
        for place in np.argwhere(mask)
    ]
    expected = np.zeros_like(mask)
    if components:
        # Of equal components, the one whose last position comes first.
        best = min(components, key=lambda places: (-len(places), max(places)))
        expected[tuple(zip(*best, strict=True))] = True
    return expected


@pytest.mark.parametrize("connectivity", [4, 8])
def test_equals_a_flood_fill(connectivity):
    generator = np.random.default_rng(3)
    shares = np.array([0.0, 0.3, 0.45, 0.6, 0.75, 1.0])[:, None, None]
    masks = generator.random((6, 9, 14)) < shares
    expected = np.stack([_largest(mask, connectivity) for mask in masks])
    np.testing.assert_array_equal(
        largest_component(masks, connectivity), expected
    )


def test_follows_a_spiral_to_its_end():
    rows = ["#######", "......#", "#####.#", "#...#.#", "#.###.#", "#.....#"]
    spiral = np.array([[c == "#" for c in row] for row in [*rows, "#######"]])
    np.testing.assert_array_equal(largest_component(spiral[None], 4)[0], spiral)


def test_diagonal_neighbours_are_connected_by_8_connectivity_only():
    mask = np.eye(5, 6, dtype=bool)
    assert np.sum(largest_component(mask[None], 8)) == 5
    assert np.sum(largest_component(mask[None], 4)) == 1

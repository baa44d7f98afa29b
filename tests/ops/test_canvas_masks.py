"""Masks and resizing of photos in the corner of a canvas."""

import numpy as np
import pytest
import tensorflow as tf

from agem_tf.ops.canvas_masks import resize_inside, valid_mask, zero_padding


def test_mask_is_true_inside_the_photo():
    valid = valid_mask(np.array([[1, 2], [2, 3]]), 2, 3)
    np.testing.assert_array_equal(valid[0], [[1, 1, 0], [0, 0, 0]])
    assert np.all(valid[1])


def test_padding_is_overwritten():
    x = np.full((1, 2, 3, 2), 5.0, np.float32)
    x[0, 1, 1] = np.nan
    overwritten = zero_padding(x, valid_mask(np.array([[1, 2]]), 2, 3), -1.0)
    np.testing.assert_array_equal(
        overwritten[0, :, :, 0], [[5, 5, -1], [-1, -1, -1]]
    )


@pytest.mark.parametrize("scale", [0.5, 0.7071, 1.4142])
def test_resizing_equals_that_of_the_unpadded_photo(scale):
    rng = np.random.default_rng(0)
    canvas = rng.uniform(0, 255, (2, 64, 96, 3)).astype(np.float32)
    extents = np.array([[41, 96], [64, 33]], np.int32)
    new_extents = np.floor(extents * scale).astype(np.int32)
    resized = resize_inside(canvas, extents, new_extents, (96, 160))
    for i, (height, width) in enumerate(extents):
        alone = tf.image.resize(canvas[i, :height, :width], new_extents[i])
        rows, columns = new_extents[i]
        np.testing.assert_allclose(
            resized[i, :rows, :columns], alone, atol=1e-3
        )


def test_a_factor_maps_pixels_as_it_is_given():
    """Five pixels by 0.5 are two, whose quotient is 0.4."""
    ramp = np.arange(5, dtype=np.float32)[None, :, None, None] + np.zeros(
        (2, 1, 3, 1), np.float32
    )
    extents, new_extents = [[5, 3], [5, 3]], [[2, 3], [2, 3]]
    for factor, expected in ((0.5, [0.5, 2.5]), (None, [0.75, 3.25])):
        resized = resize_inside(
            ramp, np.array(extents), np.array(new_extents), (2, 3), factor
        )
        np.testing.assert_allclose(resized[1, :, 0, 0], expected, atol=1e-6)

"""The canvas of a photo is known before it is decoded."""

import numpy as np
import pytest
import tensorflow as tf

from agem_tf.config import ImageConfig
from agem_tf.photos import canvases, decoding


@pytest.mark.parametrize("enlarge", [False, True])
def test_sides_are_those_that_loading_gives(enlarge):
    rng = np.random.default_rng(0)
    image = ImageConfig(size=50, resize="aspect", enlarge=enlarge)
    sizes = rng.integers(1, 120, (60, 2))
    starts = rng.uniform(0, 40, (60, 2))
    boxes = np.hstack([starts, starts + rng.uniform(0, 60, (60, 2))])
    boxes[::3] = 0
    for cut in (None, boxes.astype(np.float32)):
        expected = [
            decoding.photo_on_canvas(
                tf.io.encode_png(np.zeros((*size, 3), np.uint8)),
                image,
                None if cut is None else tf.constant(cut[i]),
            )["valid"]
            for i, size in enumerate(sizes)
        ]
        got = canvases.resized_sides(sizes, cut, image)
        np.testing.assert_array_equal(got, expected)


def test_each_photo_takes_the_smallest_canvas_that_holds_it():
    image = ImageConfig(
        size=90,
        resize="aspect",
        buckets=((96, 96), (64, 96), (96, 64)),
    )
    sizes = np.array([[90, 90], [60, 90], [900, 300], [64, 64]])
    assert canvases.choose_canvases(sizes, None, image).tolist() == [0, 1, 2, 1]
    assert canvases.largest_canvas(image) == (96, 96)


def test_canvases_follow_the_size_of_the_photos():
    image = ImageConfig(
        size=362,
        resize="aspect",
        buckets=((384, 384), (288, 384), (384, 288)),
    )
    large = canvases.at_size(image, 1024)
    assert large.size == 1024
    assert large.buckets == ((1088, 1088), (832, 1088), (1088, 832))
    sizes = np.array([[3000, 3000], [1200, 1600], [1600, 1200], [500, 2000]])
    assert canvases.choose_canvases(sizes, None, large).tolist() == [0, 1, 2, 1]
    assert canvases.at_size(large, 362).size == 362
    assert canvases.at_size(ImageConfig(size=128), 224) == ImageConfig(size=224)


def test_photos_of_equal_shape_are_neighbours_without_canvases():
    image = ImageConfig(size=50, resize="aspect")
    sizes = np.array([[40, 50], [50, 40], [40, 50], [50, 50], [50, 40]])
    ((order, canvas),) = canvases.group_by_shape(sizes, None, image)
    assert canvas is None and sorted(order) == list(range(5))
    shapes = [tuple(sizes[i]) for i in order]
    assert shapes == sorted(shapes, key=lambda shape: shape[::-1])

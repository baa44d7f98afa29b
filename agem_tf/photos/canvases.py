"""Chooses the canvas of each photo before it is decoded.

The sides of a resized photo follow from those of the photo, so each worker of a
training computes the shapes of every step without communication. The arithmetic
is that of `photos.decoding`, in the same float32.
"""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from agem_tf.config import (
    CANVAS_MULTIPLE,
    Config,
    ExtractionConfig,
    ImageConfig,
)
from agem_tf.photos import limits
from agem_tf.photos.decoding import MIN_SIDE


def largest_canvas(image: ImageConfig) -> tuple[int, int]:
    """Returns height and width of the canvas that holds every photo."""
    if not image.buckets:
        return image.size, image.size
    sides = np.full((1, 2), image.size)
    height, width = image.buckets[_smallest_that_holds(sides, image)[0]]
    return height, width


def at_size(image: ImageConfig, size: int) -> ImageConfig:
    """Returns the settings for photos of another size.

    Canvases change in proportion, rounded up, so that one of them still holds
    a square photo.

    Args:
        image: how photos are resized, with or without buckets.
        size: side of the photos in pixels.
    """
    canvases = tuple(
        tuple(
            -(-side * size // image.size // CANVAS_MULTIPLE) * CANVAS_MULTIPLE
            for side in canvas
        )
        for canvas in image.buckets
    )
    return dataclasses.replace(image, size=size, buckets=canvases)


def settings_of(
    config: Config, use: str
) -> tuple[ImageConfig, ExtractionConfig]:
    """Returns how photos are resized and extracted in one use of a recipe.

    Args:
        config: the recipe.
        use: one of `config.USES`.
    """
    own = getattr(config.extraction, use)
    image = at_size(config.image, own.size or config.image.size)
    if own.buckets:
        image = dataclasses.replace(image, buckets=own.buckets)
    scales = own.scales or config.extraction.scales
    return image, dataclasses.replace(config.extraction, scales=scales)


def choose_canvases(
    sizes: np.ndarray, boxes: np.ndarray | None, image: ImageConfig
) -> np.ndarray:
    """Chooses the smallest canvas that holds each photo.

    Args:
        sizes: (photos, 2) height and width of the photos.
        boxes: (photos, 4) x1, y1, x2, y2 in pixels, cut out first; None for
            whole photos.
        image: how photos are resized, with buckets.

    Returns:
        (photos,) positions in `image.buckets`.
    """
    return _smallest_that_holds(resized_sides(sizes, boxes, image), image)


def group_by_shape(
    sizes: np.ndarray, boxes: np.ndarray | None, image: ImageConfig
) -> Iterator[tuple[np.ndarray, tuple[int, int] | None]]:
    """Groups photos that the network takes together.

    Args:
        sizes, boxes, image: see `choose_canvases`; buckets are optional.

    Yields:
        Positions of photos, and their canvas (height, width). Without buckets
        there is one group without a canvas, in the order of the shapes.
    """
    if not image.buckets:
        yield np.lexsort(resized_sides(sizes, boxes, image).T), None
        return
    chosen = choose_canvases(sizes, boxes, image)
    for bucket in np.unique(chosen):
        height, width = image.buckets[bucket]
        yield np.flatnonzero(chosen == bucket), (height, width)


def resized_sides(
    sizes: np.ndarray, boxes: np.ndarray | None, image: ImageConfig
) -> np.ndarray:
    """Returns the (photos, 2) sides of photos that `photo_on_canvas` resizes.

    Args:
        sizes, boxes, image: see `choose_canvases`.
    """
    halved = sizes.astype(np.int64).prod(axis=1) > limits.MAX_PIXELS
    if halved.any():
        sizes = np.where(halved[:, None], -(-sizes // 2), sizes)
        if boxes is not None:
            boxes = np.where(halved[:, None], boxes / 2, boxes)
    target = np.full(len(sizes), image.size, np.float32)
    sides = sizes.astype(np.float32)
    if boxes is not None:
        cropped = _cropped_sides(sizes, boxes).astype(np.float32)
        target *= cropped.max(axis=1) / sides.max(axis=1)
        sides = cropped
    factors = target / sides.max(axis=1)
    if not image.enlarge:
        factors = np.minimum(factors, np.float32(1))
    resized = np.round(sides * factors[:, None]).astype(np.int64)
    return np.maximum(resized, MIN_SIDE)


def pixel_box(
    box: np.ndarray, size: Sequence[int]
) -> tuple[int, int, int, int]:
    """Returns left, top, right and bottom of the pixels that `crop` cuts out.

    Args:
        box: (4,) x1, y1, x2, y2 in pixels; the whole photo if all are zero.
        size: Height and width of the photo.
    """
    (corners,) = _pixel_boxes(np.array([size]), np.array([box]))
    left, top, right, bottom = corners.tolist()
    return left, top, right, bottom


def _cropped_sides(sizes: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    left, top, right, bottom = _pixel_boxes(sizes, boxes).T
    return np.column_stack([bottom - top, right - left])


def _pixel_boxes(sizes: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Returns the (photos, 4) int64 boxes in whole pixels, not empty."""
    height, width = sizes.astype(np.int64).T
    whole = np.column_stack([0 * width, 0 * width, width, height])
    marked = boxes.any(axis=1, keepdims=True)
    corners = np.where(marked, np.round(boxes), whole).astype(np.int64)
    left = np.clip(corners[:, 0], 0, width - 1)
    top = np.clip(corners[:, 1], 0, height - 1)
    right = np.clip(corners[:, 2], left + 1, width)
    bottom = np.clip(corners[:, 3], top + 1, height)
    return np.column_stack([left, top, right, bottom])


def _smallest_that_holds(sides: np.ndarray, image: ImageConfig) -> np.ndarray:
    canvases = np.array(image.buckets)
    holds = (sides[:, None, :] <= canvases).all(axis=2)
    areas = np.where(holds, canvases.prod(axis=1), np.iinfo(np.int64).max)
    return np.argmin(areas, axis=1)

"""Decodes a batch of encoded photos of which any may be bad, inside the graph.

Bytes, format, pixels and scans are bounded before anything is decoded, and as
many photos are decoded at once as their pixels allow. A bad photo gets a status
and does not disturb the others: its error is dropped by tf.data, the only part
of TensorFlow whose graphs survive an error of an operation.
"""

import enum
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from agem_tf.config import ImageConfig
from agem_tf.photos import decoding, limits
from agem_tf.photos.encoded_bytes import count_scans, most_scans
from agem_tf.photos.png_decoding import is_plain

# Enough threads to keep a machine busy; large photos get fewer.
_MOST_AT_ONCE = 16


class PhotoStatus(enum.IntEnum):
    """Result of decoding a photo: valid, or the reason of the failure."""

    VALID = 0
    UNREADABLE = 1
    UNSUPPORTED_FORMAT = 2
    TOO_MANY_BYTES = 3
    TOO_MANY_PIXELS = 4
    TOO_MANY_SCANS = 5


class ScreenedPhotos(NamedTuple):
    """The decoded photos of a batch, and the status of all.

    Attributes:
        status: (batch,) int32, a `PhotoStatus` per encoded photo.
        positions: (valid photos,) int32, their positions in the batch.
        pixels: (valid photos, *canvas, 3) uint8.
        valid: (valid photos, 2) int32, height and width of the part that is
            not padding.
    """

    status: tf.Tensor
    positions: tf.Tensor
    pixels: tf.Tensor
    valid: tf.Tensor

    def spread(self, rows: tf.Tensor) -> tf.Tensor:
        """Returns a row per encoded photo: that of a valid one, else zeros.

        Args:
            rows: (valid photos, ...).
        """
        shape = tf.concat([tf.shape(self.status), tf.shape(rows)[1:]], 0)
        spread = tf.scatter_nd(self.positions[:, tf.newaxis], rows, shape)
        return tf.ensure_shape(spread, (None, *rows.shape[1:]))


def decode_valid(
    encoded: tf.Tensor, boxes: tf.Tensor, image: ImageConfig
) -> ScreenedPhotos:
    """Decodes the valid photos of a batch, upright and on canvases.

    Args:
        encoded: (batch,) strings; JPEG and PNG are decoded.
        boxes: (batch, 4) float32 x1, y1, x2, y2 in pixels of the upright
            photos, cut out first; zeros for the whole photo.
        image: how photos are resized.
    """
    count = tf.size(encoded)

    def inspect(position: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return position, *_inspect(encoded[position])

    def load(position: tf.Tensor) -> tuple[tf.Tensor, ...]:
        photo = decoding.photo_on_canvas(
            encoded[position], image, boxes[position], upright=True
        )
        return position, photo["image"], photo["valid"]

    inspected, found, held = _without_errors(
        inspect, tf.range(count), _MOST_AT_ONCE
    )
    accepted = tf.boolean_mask(inspected, found == PhotoStatus.VALID)
    largest = tf.maximum(tf.reduce_max(held), 1)
    positions, pixels, valid = _without_errors(
        load,
        accepted,
        tf.clip_by_value(
            limits.MAX_PIXELS_AT_ONCE // largest, 1, _MOST_AT_ONCE
        ),
    )
    status = tf.fill([count], int(PhotoStatus.UNREADABLE))
    refused = found != PhotoStatus.VALID
    status = tf.tensor_scatter_nd_update(
        status,
        tf.boolean_mask(inspected, refused)[:, tf.newaxis],
        tf.boolean_mask(found, refused),
    )
    status = tf.tensor_scatter_nd_update(
        status, positions[:, tf.newaxis], tf.zeros_like(positions)
    )
    return ScreenedPhotos(status, positions, pixels, valid)


def _inspect(encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the status of a photo by its bytes, and its pixels in memory.

    Raises:
        tf.errors.InvalidArgumentError: its header is broken.
    """

    def refused(status: PhotoStatus) -> Callable[[], tuple[tf.Tensor, ...]]:
        return lambda: (tf.constant(int(status)), tf.constant(0, tf.int64))

    return tf.cond(
        tf.strings.length(encoded) > limits.MAX_BYTES,
        refused(PhotoStatus.TOO_MANY_BYTES),
        lambda: tf.cond(
            decoding.is_supported(encoded),
            lambda: _inspect_header(encoded),
            refused(PhotoStatus.UNSUPPORTED_FORMAT),
        ),
    )


def _inspect_header(encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    is_jpeg = tf.io.is_jpeg(encoded)
    pixels = tf.reduce_prod(decoding.encoded_shape(encoded))
    most = tf.where(is_jpeg, limits.MAX_JPEG_PIXELS, limits.MAX_PIXELS)
    scans = tf.cond(
        is_jpeg,
        lambda: count_scans(encoded),
        lambda: tf.constant(1, tf.int64),
    )
    status = tf.where(
        pixels > tf.cast(most, tf.int64),
        PhotoStatus.TOO_MANY_PIXELS,
        tf.where(
            scans > most_scans(pixels),
            PhotoStatus.TOO_MANY_SCANS,
            PhotoStatus.VALID,
        ),
    )
    decoded = tf.where(pixels > limits.MAX_PIXELS, pixels // 4, pixels)
    is_converted = ~is_jpeg & ~is_plain(encoded)
    # A decoder of several scans holds the coefficients of all pixels, and a
    # conversion up to 14 bytes per pixel where others need 3.
    return status, (
        decoded
        + tf.where(scans > 1, pixels, 0)
        + tf.where(is_converted, 3 * pixels, 0)
    )


def _without_errors(
    function: Callable[[tf.Tensor], tuple[tf.Tensor, ...]],
    elements: tf.Tensor,
    parallel: tf.Tensor | int,
) -> tuple[tf.Tensor, ...]:
    """Maps elements to tensors, and leaves out those that raise an error.

    Args:
        function: maps an element to tensors of fixed shapes.
        elements: (elements,).
        parallel: number of elements that are mapped at the same time.

    Returns:
        The tensors of the elements without error, stacked.
    """
    mapped = (
        tf.data.Dataset.from_tensor_slices(elements)
        .map(function, num_parallel_calls=tf.cast(parallel, tf.int64))
        .ignore_errors()
    )
    none = tuple(
        tf.zeros((0, *spec.shape), spec.dtype) for spec in mapped.element_spec
    )
    count = tf.maximum(tf.size(elements, tf.int64), 1)
    return (
        mapped.batch(count)
        .concatenate(tf.data.Dataset.from_tensors(none))
        .take(1)
        .get_single_element()
    )

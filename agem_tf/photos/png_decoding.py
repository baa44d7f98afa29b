"""Decodes PNG files inside the graph as a person sees them.

TensorFlow's decoder keeps the upper 8 of 16 bits, black if a program stored
fewer, and the colours under transparent parts. An exported model scales the
one and puts the other on white, as `upright_rgb.to_rgb` does on the host.
"""

from collections.abc import Callable

import tensorflow as tf

from agem_tf.photos.encoded_bytes import bytes_at, split_once

# Positions of the bits per channel and of the type of colours.
_DEPTH, _COLOUR_TYPE = 24, 25
_ALPHA_TYPES = (4, 6)
# A conversion holds several copies of what it converts.
_STRIP_PIXELS = 4_000_000


def is_plain(encoded: tf.Tensor) -> tf.Tensor:
    """Returns whether a PNG is opaque, with at most 8 bits per channel.

    Args:
        encoded: scalar string.
    """
    header = bytes_at(encoded, _DEPTH, 2)
    before_pixels, _ = split_once(encoded, b"IDAT")
    _, transparency = split_once(before_pixels, b"tRNS")
    return ~(
        (header[0] > 8)
        | tf.reduce_any(header[1] == _ALPHA_TYPES)
        | (tf.strings.length(transparency) > 0)
    )


def decode_seen_png(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes a PNG, scales 16 bits and puts transparent parts on white.

    Args:
        encoded: scalar string.

    Returns:
        (height, width, 3) uint8 RGB.

    Raises:
        tf.errors.InvalidArgumentError: the PNG is broken.
    """
    is_deep = bytes_at(encoded, _DEPTH, 1)[0] > 8
    return tf.cond(
        is_plain(encoded),
        lambda: tf.io.decode_png(encoded, channels=3),
        lambda: tf.cond(
            is_deep,
            lambda: _scaled(
                tf.io.decode_png(encoded, channels=4, dtype=tf.uint16)
            ),
            lambda: _in_strips(
                tf.io.decode_png(encoded, channels=4),
                lambda strip: _on_white(tf.cast(strip, tf.int32)),
            ),
        ),
    )


def _scaled(image: tf.Tensor) -> tf.Tensor:
    """Scales colours by the smallest depth that holds their maximum.

    Args:
        image: (height, width, 4) uint16 RGBA. Alpha has the depth of the
            colours, or 16 bits if it exceeds that.
    """
    largest = tf.cast(tf.reduce_max(image, (0, 1)), tf.int32)
    holds = tf.reduce_max(largest[:3]) < [1 << 8, 1 << 10, 1 << 12]
    white = tf.where(
        holds[0],
        1 << 8,
        tf.where(holds[1], 1 << 10, tf.where(holds[2], 1 << 12, 1 << 16)),
    )
    opaque = tf.where(largest[3] < white, white, 1 << 16)
    divisors = tf.stack([white, white, white, opaque]) // 256
    return _in_strips(
        image, lambda strip: _on_white(tf.cast(strip, tf.int32) // divisors)
    )


def _on_white(pixels: tf.Tensor) -> tf.Tensor:
    """Puts (rows, width, 4) int32 RGBA of 8 bits on white; returns RGB."""
    alpha = pixels[..., 3:]
    blended = pixels[..., :3] * alpha + 255 * (255 - alpha) + 128
    # Divides by 255 and rounds, as Pillow does.
    return tf.cast((blended + blended // 256) // 256, tf.uint8)


def _in_strips(
    image: tf.Tensor, convert: Callable[[tf.Tensor], tf.Tensor]
) -> tf.Tensor:
    height, width = tf.unstack(tf.shape(image)[:2])
    rows = tf.maximum(_STRIP_PIXELS // width, 1)
    count = (height + rows - 1) // rows
    strips = tf.TensorArray(
        tf.uint8, count, infer_shape=False, element_shape=(None, None, 3)
    )
    _, strips = tf.while_loop(
        lambda number, _: number < count,
        lambda number, strips: (
            number + 1,
            strips.write(
                number, convert(image[number * rows : (number + 1) * rows])
            ),
        ),
        (0, strips),
        parallel_iterations=1,
    )
    return strips.concat()

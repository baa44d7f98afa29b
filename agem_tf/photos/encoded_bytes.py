"""Parts of encoded photos, found inside the graph without an error.

Photos come from unknown sources: what lies outside of a photo is empty or zero.
"""

import tensorflow as tf

from agem_tf.photos.limits import MAX_SCANNED_PIXELS, MAX_SCANS, SCAN_STARTS


def bytes_at(text: tf.Tensor, start: tf.Tensor, count: int) -> tf.Tensor:
    """Returns (count,) int64 bytes of a text, with zeros for missing ones.

    Args:
        text: scalar string.
        start: scalar integer, position of the first byte.
        count: number of bytes.
    """
    part = part_of(text, start, count)
    values = tf.io.decode_raw(part, tf.uint8, fixed_length=count)
    return tf.cast(values, tf.int64)


def part_of(
    text: tf.Tensor, start: tf.Tensor | int, count: tf.Tensor | int
) -> tf.Tensor:
    """Returns a part of a text, cut off where the text ends.

    Args:
        text: scalar string.
        start, count: scalar integers, first byte and number of bytes.
    """
    length = tf.cast(tf.strings.length(text), tf.int64)
    start = tf.clip_by_value(tf.cast(start, tf.int64), 0, length)
    count = tf.clip_by_value(tf.cast(count, tf.int64), 0, length)
    return tf.strings.substr(text, start, count)


def split_once(
    text: tf.Tensor, separator: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns what precedes and what follows the first separator.

    Args:
        text, separator: scalar strings.

    Returns:
        Two scalar strings; without the separator, the text and an empty one.
    """
    pieces = tf.raw_ops.StringSplitV2(input=[text], sep=separator, maxsplit=1)
    padded = tf.concat([pieces.values, ["", ""]], axis=0)
    return padded[0], padded[1]


def count_scans(encoded: tf.Tensor) -> tf.Tensor:
    """Counts the scans of a JPEG, and of the photos that it embeds.

    Args:
        encoded: scalar string.

    Returns:
        Scalar int64. Counting ends soon after `MAX_SCANS`.
    """
    scans = tf.constant(0, tf.int64)
    for start in SCAN_STARTS:
        pieces = tf.raw_ops.StringSplitV2(
            input=[encoded], sep=start, maxsplit=MAX_SCANS + 1
        )
        # An empty text has no piece.
        count = tf.maximum(tf.size(pieces.values, tf.int64) - 1, 0)
        scans += count
    return scans


def most_scans(pixels: tf.Tensor) -> tf.Tensor:
    """Returns how many scans a JPEG may have: each passes over all pixels.

    Args:
        pixels: scalar int64.

    Returns:
        Scalar int64.
    """
    return tf.minimum(MAX_SCANNED_PIXELS // tf.maximum(pixels, 1), MAX_SCANS)

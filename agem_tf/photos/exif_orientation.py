"""The EXIF orientation of encoded photos, read and applied inside the graph.

An exported model turns the photos that it is sent as `agem_tf.prepare` does.
The EXIF block of a JPEG (APP1) or PNG (eXIf) is a TIFF file of which one entry
is read; a photo whose block is damaged counts as upright.
"""

import tensorflow as tf

from agem_tf.photos.encoded_bytes import (
    bytes_at,
    count_scans,
    part_of,
    split_once,
)

_ORIENTATION_TAG = 0x0112
_SHORT, _LONG = 3, 4
_ENTRY_BYTES = 12


def exif_orientation(encoded: tf.Tensor) -> tf.Tensor:
    """Reads the EXIF orientation.

    Args:
        encoded: scalar string, a JPEG or PNG.

    Returns:
        Scalar int64 from 1 to 8; 1 if there is none or it can't be read.
    """
    block = _exif_block(encoded)
    header = bytes_at(block, 0, 8)
    text = tf.strings.substr(block, 0, 4)
    is_little = text == b"II*\0"
    is_tiff = is_little | (text == b"MM\0*")

    def number(digits):
        """Joins the bytes along the last axis to integers."""
        ordered = tf.where(is_little, digits[..., ::-1], digits)
        result = tf.zeros_like(digits[..., 0])
        for i in range(digits.shape[-1]):
            result = 256 * result + ordered[..., i]
        return result

    offset = number(header[4:])
    count = number(bytes_at(block, offset, 2))
    table = part_of(block, offset + 2, count * _ENTRY_BYTES)
    whole = tf.strings.length(table) // _ENTRY_BYTES * _ENTRY_BYTES
    entries = tf.reshape(
        tf.io.decode_raw(tf.strings.substr(table, 0, whole), tf.uint8),
        (-1, _ENTRY_BYTES),
    )
    entries = tf.cast(entries, tf.int64)
    named = tf.where(number(entries[:, :2]) == _ORIENTATION_TAG)[:, 0]
    # The last one of several counts, if any.
    entry = tf.gather(entries, named[-1:])
    kind = number(entry[:, 2:4])
    value = tf.where(
        kind == _SHORT, number(entry[:, 8:10]), number(entry[:, 8:])
    )
    is_read = (
        is_tiff
        & ((kind == _SHORT) | (kind == _LONG))
        & (number(entry[:, 4:8]) == 1)
        & (value >= 1)
        & (value <= 8)
    )
    # One number, or the greatest of none, which is negative.
    return tf.maximum(tf.reduce_max(tf.where(is_read, value, 1)), 1)


def turned_upright(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Turns a photo as its EXIF orientation says.

    Args:
        image: (height, width, channels).
        orientation: scalar integer from 1 to 8.

    Returns:
        The upright photo; orientations from 5 swap height and width.
    """
    image = tf.cond(
        orientation >= 5,
        lambda: tf.transpose(image, (1, 0, 2)),
        lambda: tf.identity(image),
    )
    vertically = tf.reduce_any(orientation == [3, 4, 7, 8])
    horizontally = tf.reduce_any(orientation == [2, 3, 6, 7])
    axes = tf.boolean_mask([0, 1], [vertically, horizontally])
    return tf.reverse(image, axes)


def _exif_block(encoded: tf.Tensor) -> tf.Tensor:
    """Returns the TIFF bytes of the first EXIF block; empty without one."""
    is_jpeg = tf.io.is_jpeg(encoded)
    before, after = split_once(encoded, tf.where(is_jpeg, b"Exif\0\0", b"eXIf"))
    length = tf.strings.length(before)
    # Of a JPEG, the marker and the length of the segment; of a PNG the length.
    start = bytes_at(before, length - 4, 4)
    jpeg_size = 256 * start[2] + start[3] - 8
    png_size = tf.reduce_sum(start * [1 << 24, 1 << 16, 1 << 8, 1])
    # Behind the first scan follow other photos, such as the next of an MPO.
    is_first = tf.cond(
        is_jpeg & (start[0] == 0xFF) & (start[1] == 0xE1),
        lambda: count_scans(before) == 0,
        lambda: ~is_jpeg,
    )
    size = tf.where(is_jpeg, jpeg_size, png_size)
    return part_of(after, 0, tf.where(is_first, size, 0))

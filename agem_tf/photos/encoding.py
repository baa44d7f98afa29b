"""Turns photo files of any supported format into what TensorFlow decodes.

Later stages trust every `EncodedPhoto`: it decodes, it is RGB or grey, JPEG or
PNG, and, unless a benchmark wants it otherwise, upright.
"""

import io
import os

import PIL.Image
import tensorflow as tf

from agem_tf.photos import decoding, reading
from agem_tf.photos.reading import REMEDY, EncodedPhoto


def read_encoded_photo(
    path: str | os.PathLike, upright: bool = True, remedy: str = REMEDY
) -> EncodedPhoto:
    """Reads a photo file for TensorFlow.

    Args:
        path: a local path or a remote one.
        upright, remedy: see `encode_photo`.

    Raises:
        UserError: the file can't be read; see `encode_photo`.
    """
    encoded = reading.read_photo_file(path, remedy)
    return encode_photo(encoded, os.fspath(path), upright, remedy)


def encode_photo(
    encoded: bytes, name: str, upright: bool = True, remedy: str = REMEDY
) -> EncodedPhoto:
    """Checks a photo and, where TensorFlow needs it, converts it.

    A JPEG or PNG in RGB or grey is kept byte by byte. Anything else becomes a
    PNG: other formats and modes (see `reading.to_rgb`), a photo that its EXIF
    orientation turns, or one with small damage that only Pillow tolerates.

    Args:
        encoded: a file of one of the supported formats.
        name: name of the photo, for messages.
        upright: whether to apply the EXIF orientation. The public benchmarks
            were annotated and are scored without it.
        remedy: what the user can do about a bad photo; ends the message.

    Raises:
        UserError: the photo is of no supported format, has too many pixels or
            does not decode.
    """
    with reading.opened(encoded, name, remedy) as photo:
        plain = (
            photo.format in ("JPEG", "PNG")
            and photo.mode in ("RGB", "L")
            and not photo.has_transparency_data
            and not (upright and reading.orientation(photo) != 1)
        )
        if plain and _decodes(encoded, photo.size):
            return EncodedPhoto(encoded, *photo.size)
        rgb = reading.to_rgb(photo, upright)
        return EncodedPhoto(_to_png(rgb), *rgb.size)


def _to_png(photo: PIL.Image.Image) -> bytes:
    buffer = io.BytesIO()
    photo.save(buffer, format="PNG")
    if not _decodes(buffer.getvalue(), photo.size):
        width, height = photo.size
        raise ValueError(f"TensorFlow refuses {width} x {height} pixels")
    return buffer.getvalue()


def _decodes(encoded: bytes, size: tuple[int, int]) -> bool:
    """Whether TensorFlow decodes the bytes to the size that Pillow sees."""
    try:
        height, width = decoding.decode_photo(tf.constant(encoded)).shape[:2]
    except tf.errors.InvalidArgumentError:
        return False
    return (width, height) == size

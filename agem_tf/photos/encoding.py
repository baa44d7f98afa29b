"""Turns photo files of any supported format into what TensorFlow decodes.

Later stages rely on every `EncodedPhoto`: it decodes, it is an RGB or grey JPEG
or PNG, and it is upright unless a benchmark requires the stored orientation.
"""

import io
import logging
import os

import PIL.Image
import tensorflow as tf

from agem_tf.errors import UserError
from agem_tf.photos import decoding, limits, reading
from agem_tf.photos.exif_orientation import exif_orientation
from agem_tf.photos.pixel_budget import PIXEL_BUDGET
from agem_tf.photos.reading import REMEDY, EncodedPhoto
from agem_tf.photos.upright_rgb import orientation, to_rgb, upright_size

_LOG = logging.getLogger(__name__)
# Position of the byte with the bits per channel.
_PNG_DEPTH = 24
_JPEG_START = b"\xff\xd8\xff"

_orientation_in_graph = tf.function(
    exif_orientation, input_signature=[tf.TensorSpec((), tf.string)]
)


def read_encoded_photo(
    path: str | os.PathLike,
    upright: bool = True,
    remedy: str = REMEDY,
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
    encoded: bytes,
    name: str,
    upright: bool = True,
    remedy: str = REMEDY,
) -> EncodedPhoto:
    """Checks a photo and, where TensorFlow needs it, converts it.

    A JPEG or PNG in RGB or grey of 8 bits is kept byte by byte. Anything else
    becomes a PNG: other formats and modes (see `upright_rgb.to_rgb`), a photo
    that its EXIF orientation turns, or a damaged one that Pillow tolerates. A
    JPEG of which the decoder reports damage is named in the log.

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
            and not (photo.format == "PNG" and encoded[_PNG_DEPTH] == 16)
            and not (upright and orientation(photo) != 1)
        )
        if not plain:
            return _as_png(photo, upright)
        decoded, is_jpeg = photo.size, photo.format == "JPEG"
    height, width = reading.encoded_sides(encoded)
    # Pillow's pixels are free again before these decoders need memory.
    damage = is_jpeg and reading.jpeg_damage(encoded, height * width)
    if damage:
        _LOG.warning("%s: %s; its pixels are used as they decode", name, damage)
    else:
        with PIXEL_BUDGET.held(decoded[0] * decoded[1]):
            is_kept = _decodes(encoded, decoded, upright)
        if is_kept:
            return EncodedPhoto(encoded, width, height)
    with reading.opened(encoded, name, remedy) as photo:
        return _as_png(photo, upright)


def sent_photo(encoded: bytes) -> EncodedPhoto | None:
    """Returns a photo as it was sent, if an exported model may decode it.

    Takes a fifth of the time of `encode_photo`. The model checks the photo
    while it decodes it, and turns it as its EXIF orientation says; what the
    model refuses goes to `encode_photo`, which converts the photo or says what
    is wrong with it.

    Args:
        encoded: a file.

    Returns:
        The photo with the size that it has upright; None if it has another
        format than JPEG and PNG, other colours than RGB and grey of 8 bits,
        more pixels than any photo may have, damage that a decoder of JPEG
        reports, metadata behind the pixels of a PNG, or an orientation that
        TensorFlow's graphs read differently than Pillow.
    """
    try:
        with reading.open_header(encoded) as photo:
            pixels = photo.width * photo.height
            turn = 1
            # Without one of these, the graph has nothing to read.
            if b"Exif\0\0" in encoded or b"eXIf" in encoded:
                turn = int(_orientation_in_graph(tf.constant(encoded)))
            if (
                photo.format not in ("JPEG", "MPO", "PNG")
                or photo.mode not in ("RGB", "L")
                or photo.has_transparency_data
                or ";16" in reading.stored_mode(photo)
                or turn != orientation(photo)
                or reading.has_late_metadata(encoded)
                or pixels > limits.MAX_JPEG_PIXELS
            ):
                return None
            if photo.format != "PNG" and reading.jpeg_damage(encoded, pixels):
                return None
            return EncodedPhoto(encoded, *upright_size(photo))
    # Pillow's readers raise many types.
    except Exception:
        return None


def quiet_photo(encoded: bytes, name: str) -> bytes | None:
    """Returns a photo that an exported model decodes without a message.

    Its decoder prints what libjpeg reports of a damaged JPEG, without a name.
    Such a photo is named in the log and becomes a PNG of its pixels; any other
    is returned as it is, for the model to decide.

    Args:
        encoded: a file.
        name: name of the photo, for the log.

    Returns:
        The photo; None for a JPEG that does not decode.
    """
    try:
        with reading.open_header(encoded) as photo:
            pixels = photo.width * photo.height
            is_jpeg = photo.format in ("JPEG", "MPO")
    # Pillow's readers raise many types.
    except Exception:
        return None if encoded.startswith(_JPEG_START) else encoded
    # Boxes in larger photos are for the sides that these have as a JPEG.
    if not is_jpeg or pixels > limits.MAX_PIXELS:
        return encoded
    try:
        if not reading.jpeg_damage(encoded, pixels):
            return encoded
    # Too many scans, for which the model has a status.
    except ValueError:
        return encoded
    try:
        return encode_photo(encoded, name, remedy="send another one").encoded
    except UserError as error:
        _LOG.warning("%s", error)
        return None


def _as_png(photo: PIL.Image.Image, upright: bool) -> EncodedPhoto:
    reduction = reading.reduction(photo)
    rgb = to_rgb(photo, upright)
    buffer = io.BytesIO()
    rgb.save(buffer, format="PNG")
    if not _decodes(buffer.getvalue(), rgb.size, upright):
        raise ValueError(
            f"TensorFlow refuses {rgb.width} x {rgb.height} pixels"
        )
    return EncodedPhoto(
        buffer.getvalue(),
        rgb.width * reduction,
        rgb.height * reduction,
        reduction,
    )


def _decodes(encoded: bytes, size: tuple[int, int], upright: bool) -> bool:
    """Whether TensorFlow decodes the bytes to the size that Pillow sees.

    Also whether it finds no orientation where Pillow finds none, because an
    exported model turns photos itself.
    """
    photo = tf.constant(encoded)
    try:
        height, width = decoding.decode_photo(photo).shape[:2]
    except tf.errors.InvalidArgumentError:
        return False
    turned = upright and int(_orientation_in_graph(photo)) != 1
    return (width, height) == size and not turned

"""Reads photo files of any kind into upright RGB pixels; needs no TensorFlow.

Photos come from unknown sources. Only the formats named here are decoded, the
pixels are counted before they are decoded, and any exception of a decoder means
a bad photo. Nothing else in the package opens a photo with Pillow.
"""

import contextlib
import dataclasses
import io
import os
import re
from collections.abc import Iterator, Sequence

import numpy as np
import PIL.Image
from etils import epath

from agem_tf.errors import UserError

try:
    import pillow_heif

    pillow_heif.register_heif_opener()
except ImportError:
    pillow_heif = None

SUFFIXES = frozenset(
    ".jpg .jpeg .jfif .mpo .png .webp .bmp .gif .pgm .ppm .pnm .tif .tiff "
    ".avif .heic .heif".split()
)
MAX_BYTES = 200_000_000
MAX_PIXELS = 100_000_000
REMEDY = "replace or remove it, or pass --skip_bad"

# Pillow opens many more formats; EPS starts Ghostscript, others have no bounds.
_FORMATS = "JPEG MPO PNG WEBP GIF BMP TIFF PPM AVIF HEIF".split()
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
# Encoders write about ten. A JPEG of 285 kB with 300 scans decodes in 14 s.
_MAX_SCANS = 64
# Markers but restarts, which have no length, and stuffed bytes.
_JPEG_MARKER = re.compile(rb"\xff([\xc0-\xcf\xd8-\xfe])")
_START_OF_SCAN, _END_OF_IMAGE = b"\xda", b"\xd9"

_ORIENTATION_TAG = 0x0112
# EXIF orientation -> what turns the photo upright.
_TURNS = {
    2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
    3: PIL.Image.Transpose.ROTATE_180,
    4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
    5: PIL.Image.Transpose.TRANSPOSE,
    6: PIL.Image.Transpose.ROTATE_270,
    7: PIL.Image.Transpose.TRANSVERSE,
    8: PIL.Image.Transpose.ROTATE_90,
}

# Usual depths of integer photos; 10 and 12 bits are often stored in 16.
_BITS = (8, 10, 12, 16)


@dataclasses.dataclass(frozen=True)
class EncodedPhoto:
    """A photo that TensorFlow decodes.

    Attributes:
        encoded: JPEG or PNG bytes.
        width: pixels per row after decoding.
        height: rows of pixels after decoding.
    """

    encoded: bytes
    width: int
    height: int


def read_photo_file(path: str | os.PathLike, remedy: str = REMEDY) -> bytes:
    """Reads the bytes of a photo, of at most `MAX_BYTES`.

    Args:
        path: a local path or a remote one, for instance gs://bucket/photo.jpg.
        remedy: what the user can do about an unreadable file; ends the message.

    Raises:
        UserError: the file is missing, empty, too large or unreadable.
    """
    name = os.fspath(path)
    try:
        file = epath.Path(path)
        size = file.stat().length
        # A pipe has no size, and reading it could block for ever.
        encoded = file.read_bytes() if 0 < size <= MAX_BYTES else b""
    # Remote file systems raise errors of their own.
    except Exception as error:
        raise unreadable(name, error, remedy) from error
    if not 0 < size <= MAX_BYTES:
        raise UserError(
            f"{name} has {size} bytes, a photo has 1 to {MAX_BYTES}; {remedy}."
        )
    return encoded


@contextlib.contextmanager
def opened(
    encoded: bytes,
    name: str,
    remedy: str = REMEDY,
    side: int | None = None,
) -> Iterator[PIL.Image.Image]:
    """Decodes a photo for a block of code.

    Args:
        encoded: a file of one of the supported formats.
        name: name of the photo, for the message.
        remedy: what the user can do about a bad photo; ends the message.
        side: pixels of the sides that suffice; a JPEG is then decoded at the
            smallest fraction of its size that has them, in less time.

    Yields:
        The decoded photo, as it is stored: see `to_rgb`.

    Raises:
        UserError: the format is not supported, the photo has too many pixels
            or it does not decode; also any other exception of the block.
    """
    try:
        with _open(encoded) as photo:
            width, height = photo.size
            if width * height > MAX_PIXELS:
                raise UserError(
                    f"{name} has {width} x {height} pixels, more than "
                    f"{MAX_PIXELS}; scale it down."
                )
            if side is not None:
                photo.draft("RGB", (side, side))
            photo.load()
            yield photo
    except UserError:
        raise
    # Pillow's decoders raise many more types than they document.
    except Exception as error:
        raise unreadable(name, error, remedy) from error


def unreadable(name: str, error: object, remedy: str) -> UserError:
    """Returns the error that says that a photo can't be read."""
    return UserError(f"{name} is not a readable photo ({error}); {remedy}.")


def to_rgb(photo: PIL.Image.Image, upright: bool = True) -> PIL.Image.Image:
    """Converts a decoded photo to RGB as a person sees it.

    Integers of more than 8 bits are scaled by the smallest of 8, 10, 12 and 16
    bits that holds their maximum, floats by 1, 255 or 65535 likewise; larger
    values by their maximum. What is transparent becomes white.

    Args:
        photo: a photo that `opened` yields.
        upright: whether to apply the EXIF orientation.

    Raises:
        ValueError: a float is infinite or NaN.
    """
    if upright and orientation(photo) in _TURNS:
        photo = photo.transpose(_TURNS[orientation(photo)])
    if photo.mode.startswith(("I", "F")):
        return _from_deep_grey(photo)
    if photo.has_transparency_data:
        # Whatever colour an editor left under the transparent parts is hidden.
        photo = photo.convert("RGBA")
        white = PIL.Image.new("RGBA", photo.size, "white")
        photo = PIL.Image.alpha_composite(white, photo)
    return photo.convert("RGB")


def orientation(photo: PIL.Image.Image) -> int:
    """Returns the EXIF orientation from 1 to 8, 1 if it can't be read."""
    try:
        value = photo.getexif().get(_ORIENTATION_TAG)
    # Ill-typed EXIF tags raise anything from TypeError to struct.error.
    except Exception:
        return 1
    return value if isinstance(value, int) and value in _TURNS else 1


def read_thumbnail(
    path: str | os.PathLike,
    side: int,
    box: Sequence[float] | None = None,
) -> PIL.Image.Image | None:
    """Reads a photo, or a part of it, and shrinks it for a page.

    Args:
        path: local path of the photo.
        side: most pixels of the longer side.
        box: x1, y1, x2, y2 in pixels of the upright photo, cut out first.

    Returns:
        The upright photo in RGB, or None if it can't be read.
    """
    draft_side = side if box is None else None
    try:
        encoded = read_photo_file(path)
        with opened(encoded, os.fspath(path), side=draft_side) as photo:
            small = to_rgb(photo)
            if box is not None:
                small = small.crop([round(edge) for edge in box])
            small.thumbnail((side, side))
            return small
    except UserError:
        return None


def encoded_sides(encoded: bytes) -> tuple[int, int]:
    """Returns the height and width that the header of a photo states."""
    with _open(encoded) as photo:
        return photo.height, photo.width


def _open(encoded: bytes) -> PIL.Image.Image:
    PIL.Image.init()
    available = [name for name in _FORMATS if name in PIL.Image.OPEN]
    try:
        photo = PIL.Image.open(io.BytesIO(encoded), formats=available)
    except PIL.UnidentifiedImageError as error:
        if encoded[4:8] == b"ftyp" and encoded[8:12] in _HEIF_BRANDS:
            raise ValueError("HEIF needs pip install pillow-heif") from error
        raise ValueError(
            "it is none of JPEG, PNG, WebP, GIF, BMP, TIFF, PPM, AVIF, HEIF"
        ) from error
    if photo.format in ("JPEG", "MPO"):
        scans = _count_scans(encoded)
        if scans > _MAX_SCANS:
            raise ValueError(f"{scans} scans, more than {_MAX_SCANS}")
    return photo


def _count_scans(encoded: bytes) -> int:
    """Counts the scans of a JPEG up to the end of its first image.

    Phones append a video of megabytes, in which any two bytes occur by chance.
    """
    scans, position = 0, 0
    while match := _JPEG_MARKER.search(encoded, position):
        position = match.end()
        if match[1] == _END_OF_IMAGE:
            break
        if position > 2:  # The first marker, which starts the image, is bare.
            scans += match[1] == _START_OF_SCAN
            position += int.from_bytes(encoded[position : position + 2])
    return scans


def _from_deep_grey(photo: PIL.Image.Image) -> PIL.Image.Image:
    """Converts grey of 16 or 32 bits; Pillow would clip it at 255."""
    values = np.asarray(photo)
    if photo.mode == "F":
        if not np.isfinite(values).all():
            raise ValueError("a pixel is infinite or NaN")
        largest = values.max()
        white = next((w for w in (1, 255, 65535) if largest <= w), largest)
        grey = np.round(np.clip(values / white, 0, 1) * 255).astype(np.uint8)
    else:
        values = values.astype(np.int64)
        largest = int(values.max())
        bits = next((bits for bits in _BITS if largest < 1 << bits), None)
        grey = np.maximum(values, 0)
        grey = grey >> (bits - 8) if bits else 255 * grey // largest
        grey = grey.astype(np.uint8)
        key = photo.info.get("transparency")
        if isinstance(key, int):
            grey[values == key] = 255
    return PIL.Image.fromarray(grey).convert("RGB")

"""Photos from strangers, checked once while a dataset is prepared.

Later stages may then trust every record: it decodes, it is RGB JPEG or PNG, and
unless a benchmark wants it otherwise, its orientation is the one a person sees.
"""

import dataclasses
import io
import os

import numpy as np
import PIL.Image
import PIL.ImageOps
import tensorflow as tf

from agem_tf.errors import UserError
from agem_tf.photos import decoding

SUFFIXES = frozenset(
    ".jpg .jpeg .jfif .png .webp .bmp .gif .pgm .ppm .pnm .tif .tiff".split()
)
MAX_BYTES = 200_000_000
_ORIENTATION_TAG = 0x0112


@dataclasses.dataclass(frozen=True)
class EncodedPhoto:
    """A checked photo.

    Attributes:
        encoded: JPEG or PNG bytes.
        width, height: pixels as it decodes.
    """

    encoded: bytes
    width: int
    height: int


def read(path: str | os.PathLike, upright: bool = True) -> EncodedPhoto:
    """Reads and checks a photo; see `check`.

    Args:
        path: of any file system that TensorFlow knows, such as gs://.
        upright: see `check`.

    Raises:
        UserError: the file is missing, empty, too large or does not decode.
    """
    path = os.fspath(path)
    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            size = file.size()
            encoded = file.read() if size <= MAX_BYTES else b""
    except (OSError, tf.errors.OpError) as error:
        raise _unreadable(path, error) from error
    if not 0 < size <= MAX_BYTES:
        raise UserError(
            f"{path} has {size} bytes, a photo has 1 to {MAX_BYTES}; replace "
            "or remove it, or pass --skip_bad."
        )
    return check(encoded, path, upright)


def check(encoded: bytes, name: str, upright: bool = True) -> EncodedPhoto:
    """Checks a photo and, where TensorFlow needs it, converts it.

    A JPEG or PNG in RGB or grey is kept byte by byte; anything else, a photo
    that its EXIF data rotates, or one whose small damage Pillow repairs and
    TensorFlow does not, becomes a PNG. Sixteen bits of grey become eight, and
    what is transparent becomes white.

    Args:
        encoded: a file of any format that Pillow reads.
        name: what to call it in an error.
        upright: whether the EXIF rotation is applied. The public benchmarks
            were annotated and are scored without it.

    Raises:
        UserError: the photo has too many pixels or does not decode.
    """
    try:
        with PIL.Image.open(io.BytesIO(encoded)) as photo:
            width, height = photo.size
            if width * height > decoding.MAX_PIXELS:
                raise UserError(
                    f"{name} has {width} x {height} pixels, more than "
                    f"{decoding.MAX_PIXELS}; scale it down."
                )
            photo.load()
            plain = _is_plain(photo) and not (upright and _is_rotated(photo))
            if not (plain and _decodes(encoded, photo.size)):
                return _converted(photo, upright)
    except (
        OSError,
        SyntaxError,
        ValueError,
        PIL.Image.DecompressionBombError,
    ) as error:
        if isinstance(error, UserError):
            raise
        raise _unreadable(name, error) from error
    return EncodedPhoto(encoded, width, height)


def sides(encoded: bytes) -> tuple[int, int]:
    """Returns the height and width that the header of a photo tells."""
    with PIL.Image.open(io.BytesIO(encoded)) as photo:
        return photo.height, photo.width


def _unreadable(name: str, error: Exception) -> UserError:
    return UserError(
        f"{name} is not a readable photo ({error}); replace or remove it, or "
        "pass --skip_bad."
    )


def _is_plain(photo: PIL.Image.Image) -> bool:
    return photo.format in ("JPEG", "PNG") and photo.mode in ("RGB", "L")


def _is_rotated(photo: PIL.Image.Image) -> bool:
    return photo.getexif().get(_ORIENTATION_TAG, 1) != 1


def _decodes(encoded: bytes, size: tuple[int, int]) -> bool:
    """Whether TensorFlow makes of the bytes what Pillow does."""
    try:
        height, width = decoding.decode(tf.constant(encoded)).shape[:2]
    except tf.errors.InvalidArgumentError:
        return False
    return (width, height) == size


def _converted(photo: PIL.Image.Image, upright: bool) -> EncodedPhoto:
    if upright:
        photo = PIL.ImageOps.exif_transpose(photo)
    photo = _to_rgb(photo)
    buffer = io.BytesIO()
    photo.save(buffer, format="PNG")
    if not _decodes(buffer.getvalue(), photo.size):
        width, height = photo.size
        raise ValueError(f"TensorFlow refuses {width} x {height} pixels")
    return EncodedPhoto(buffer.getvalue(), *photo.size)


def _to_rgb(photo: PIL.Image.Image) -> PIL.Image.Image:
    if photo.mode.startswith("I"):
        # Pillow would clip: everything above 255 of 65535 would be white.
        grey = np.clip(np.asarray(photo, np.int64) >> 8, 0, 255)
        return PIL.Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    if photo.has_transparency_data:
        # Whatever colour an editor left under the transparent parts is hidden.
        photo = photo.convert("RGBA")
        white = PIL.Image.new("RGBA", photo.size, "white")
        photo = PIL.Image.alpha_composite(white, photo)
    return photo.convert("RGB")

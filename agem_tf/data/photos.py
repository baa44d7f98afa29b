"""Photos from strangers, checked once while a dataset is prepared.

Later stages may then trust every record: it decodes, it is RGB JPEG or PNG, and
its orientation is the one a person sees.
"""

import dataclasses
import io
import pathlib

import numpy as np
import PIL.Image
import PIL.ImageOps
import tensorflow as tf

from agem_tf.data import images
from agem_tf.errors import UserError

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
        width, height: pixels as seen, after the photo's EXIF rotation.
    """

    encoded: bytes
    width: int
    height: int


def read(path: pathlib.Path) -> EncodedPhoto:
    """Reads, checks and, where TensorFlow needs it, converts a photo.

    A JPEG or PNG in RGB or grey is kept byte by byte; anything else, a photo
    that its EXIF data rotates, or one whose small damage Pillow repairs and
    TensorFlow does not, becomes a PNG. Sixteen bits of grey become eight, and
    what is transparent becomes white.

    Raises:
        UserError: the file is missing, empty, too large or does not decode.
    """
    try:
        encoded = _read_bounded(path)
        with PIL.Image.open(io.BytesIO(encoded)) as photo:
            width, height = photo.size
            if width * height > images.MAX_PIXELS:
                raise UserError(
                    f"{path} has {width} x {height} pixels, more than "
                    f"{images.MAX_PIXELS}; scale it down."
                )
            photo.load()
            if not (_is_plain(photo) and _decodes(encoded, photo.size)):
                return _converted(photo)
    except (
        OSError,
        SyntaxError,
        ValueError,
        PIL.Image.DecompressionBombError,
    ) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"{path} is not a readable photo ({error}); replace or remove it, "
            "or pass --skip_bad."
        ) from error
    return EncodedPhoto(encoded, width, height)


def _read_bounded(path: pathlib.Path) -> bytes:
    size = path.stat().st_size
    if not 0 < size <= MAX_BYTES:
        raise UserError(
            f"{path} has {size} bytes, a photo has 1 to {MAX_BYTES}; replace "
            "or remove it, or pass --skip_bad."
        )
    return path.read_bytes()


def _is_plain(photo: PIL.Image.Image) -> bool:
    upright = photo.getexif().get(_ORIENTATION_TAG, 1) == 1
    return (
        photo.format in ("JPEG", "PNG")
        and photo.mode in ("RGB", "L")
        and upright
    )


def _decodes(encoded: bytes, size: tuple[int, int]) -> bool:
    """Whether TensorFlow makes of the bytes what Pillow does."""
    try:
        height, width = images.decode(tf.constant(encoded)).shape[:2]
    except tf.errors.InvalidArgumentError:
        return False
    return (width, height) == size


def _converted(photo: PIL.Image.Image) -> EncodedPhoto:
    upright = _to_rgb(PIL.ImageOps.exif_transpose(photo))
    buffer = io.BytesIO()
    upright.save(buffer, format="PNG")
    if not _decodes(buffer.getvalue(), upright.size):
        width, height = upright.size
        raise ValueError(f"TensorFlow refuses {width} x {height} pixels")
    return EncodedPhoto(buffer.getvalue(), *upright.size)


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

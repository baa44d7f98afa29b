"""Photos from strangers, checked once while a dataset is prepared.

Later stages may then trust every record: it decodes, it is RGB JPEG or PNG, and
its orientation is the one a person sees.
"""

import dataclasses
import io
import pathlib

import PIL.Image
import PIL.ImageOps

from agem_tf.data import images
from agem_tf.errors import UserError

SUFFIXES = frozenset(
    ".jpg .jpeg .png .webp .bmp .gif .pgm .ppm .pnm .tif .tiff".split()
)
MAX_BYTES = 200_000_000
_ORIENTATION_TAG = 0x0112


@dataclasses.dataclass(frozen=True)
class EncodedPhoto:
    """A checked photo.

    Attributes:
        encoded: JPEG or PNG bytes.
        width, height: pixels.
    """

    encoded: bytes
    width: int
    height: int


def read(path: pathlib.Path) -> EncodedPhoto:
    """Reads, checks and, where TensorFlow needs it, converts a photo.

    A JPEG or PNG in RGB or grey is kept byte by byte; anything else, or a photo
    that its EXIF data rotates, becomes a PNG.

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
            if not _is_plain(photo):
                return _convert(photo)
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


def _convert(photo: PIL.Image.Image) -> EncodedPhoto:
    upright = PIL.ImageOps.exif_transpose(photo).convert("RGB")
    buffer = io.BytesIO()
    upright.save(buffer, format="PNG")
    return EncodedPhoto(buffer.getvalue(), *upright.size)

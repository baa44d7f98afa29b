"""Opens photo files of any kind with Pillow; needs no TensorFlow.

Photos come from unknown sources. Only the formats named here are decoded,
bytes, pixels and scans are bounded before (`photos.limits`), and any exception
of a decoder means a bad photo. Nothing else in the package opens a photo with
Pillow.
"""

import contextlib
import dataclasses
import io
import logging
import os
import struct
import warnings
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import PIL.Image
import PIL.ImageFile
import simplejpeg
from etils import epath

from agem_tf import native_output
from agem_tf.errors import UserError
from agem_tf.photos import limits
from agem_tf.photos.deep_colours import is_deep, scale_deep_colours
from agem_tf.photos.pixel_budget import PIXEL_BUDGET
from agem_tf.photos.upright_rgb import to_rgb

try:
    import pillow_heif

    pillow_heif.register_heif_opener()
except ImportError:
    pillow_heif = None

_LOG = logging.getLogger(__name__)

SUFFIXES = frozenset(
    ".jpg .jpeg .jfif .mpo .png .webp .bmp .gif .pgm .ppm .pnm .tif .tiff "
    ".avif .heic .heif".split()
)
REMEDY = "replace or remove it, or pass --skip_bad"

# Pillow opens many more formats; EPS starts Ghostscript, others have no bounds.
_FORMATS = "JPEG MPO PNG WEBP GIF BMP TIFF PPM AVIF HEIF".split()
_JPEG_FORMATS = ("JPEG", "MPO")
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
# Pillow decodes these in Python, about 2 s per megabyte.
_SLOW_CODECS = ("ppm", "ppm_plain", "bmp_rle")
_MAX_SLOW_BYTES = 1_000_000
# Pillow's names of grey with 2 and 4 bits -> what it multiplies grey by.
_KEY_SCALES = {"L;2": 85, "L;4": 17}
# Chunks of a PNG with metadata.
_METADATA = (b"eXIf", b"tEXt", b"zTXt", b"iTXt")
# Errors by which Pillow's readers report that the header is not theirs.
_HEADER_ERRORS = (SyntaxError, IndexError, TypeError, struct.error)

# Environment variable, because a photo that was accepted must be readable in
# every later command and in every process.
ACCEPT_TRUNCATED = "AGEM_TF_ACCEPT_TRUNCATED"
if os.environ.get(ACCEPT_TRUNCATED) == "1":
    PIL.ImageFile.LOAD_TRUNCATED_IMAGES = True

# Pillow warns of damaged metadata, of which only the orientation is used; its
# warnings have no file name. For the process, because a filter for a block of
# code disturbs other threads.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


@dataclasses.dataclass(frozen=True)
class EncodedPhoto:
    """A photo that TensorFlow decodes.

    Attributes:
        encoded: JPEG or PNG bytes.
        width: pixels per row of the upright photo.
        height: rows of pixels of the upright photo.
        reduction: number by which the sides of a large photo were divided
            before it was encoded again.
    """

    encoded: bytes
    width: int
    height: int
    reduction: int = 1


def read_photo_file(path: str | os.PathLike, remedy: str = REMEDY) -> bytes:
    """Reads the bytes of a photo, of at most `limits.MAX_BYTES`.

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
        encoded = file.read_bytes() if 0 < size <= limits.MAX_BYTES else b""
    except MemoryError:
        raise
    # Remote file systems raise errors of their own.
    except Exception as error:
        raise unreadable(name, error, remedy) from error
    if not 0 < size <= limits.MAX_BYTES:
        raise UserError(
            f"{name} has {size} bytes, a photo has 1 to {limits.MAX_BYTES}; "
            f"{remedy}."
        )
    return encoded


def read_pixels(
    path: str | os.PathLike,
    remedy: str = REMEDY,
    box: Sequence[float] | None = None,
) -> np.ndarray:
    """Reads a photo as (height, width, 3) uint8 pixels, upright RGB.

    Args:
        path: a local path or a remote one.
        remedy: what the user can do about an unreadable photo; ends the
            message.
        box: x1, y1, x2, y2 in pixels of the upright photo, cut out.

    Raises:
        UserError: the photo can't be read.
    """
    encoded = read_photo_file(path, remedy)
    with opened(encoded, os.fspath(path), remedy) as photo:
        return np.asarray(_cut(photo, to_rgb(photo), box))


@contextlib.contextmanager
def opened(
    encoded: bytes,
    name: str,
    remedy: str = REMEDY,
    side: int | None = None,
) -> Iterator[PIL.Image.Image]:
    """Decodes a photo for a block of code.

    Threads that decode large photos wait for each other. A JPEG of more than
    `limits.MAX_PIXELS` is decoded at half its sides; see `reduction`.

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
        MemoryError: the memory of the machine does not suffice.
    """
    try:
        with contextlib.ExitStack() as stack:
            photo = stack.enter_context(open_header(encoded))
            is_jpeg = photo.format in _JPEG_FORMATS
            pixels = photo.width * photo.height
            most = limits.MAX_JPEG_PIXELS if is_jpeg else limits.MAX_PIXELS
            if pixels > most:
                raise UserError(
                    f"{name} has {photo.width} x {photo.height} pixels, more "
                    f"than {most}; scale it down."
                )
            scans = _count_scans(encoded, pixels) if is_jpeg else 1
            sides = (side, side) if side else photo.size
            if pixels > limits.MAX_PIXELS:
                sides = np.minimum(sides, np.array(photo.size) // 2).tolist()
            photo.draft(None, tuple(sides))
            # A decoder of several scans holds the coefficients of all pixels.
            held = photo.width * photo.height + (scans > 1) * pixels
            stored = stored_mode(photo)
            # Their lower bytes may be decoded too.
            held += is_deep(stored) * pixels
            stack.enter_context(PIXEL_BUDGET.held(held))
            with _libtiff_named(photo, name):
                photo.load()
                key = photo.info.get("transparency")
                # Pillow does not scale it as it does grey of 2 or 4 bits.
                if stored in _KEY_SCALES and isinstance(key, int):
                    photo.info["transparency"] = _KEY_SCALES[stored] * key
                scale_deep_colours(photo, stored, lambda: open_header(encoded))
            yield photo
    # A machine without memory says nothing about the photo.
    except (UserError, MemoryError):
        raise
    # Pillow's decoders raise many more types than they document.
    except Exception as error:
        raise unreadable(name, error, remedy) from error


@contextlib.contextmanager
def _libtiff_named(photo: PIL.Image.Image, name: str) -> Iterator[None]:
    """Names the photo where libtiff reports damage; it prints without a name.

    Raises:
        ValueError: what libtiff printed, if the block fails.
    """
    if photo.format != "TIFF":
        yield
        return
    lines: list[str] = []
    try:
        with native_output.captured() as lines:
            yield
    except OSError as error:
        raise ValueError(lines[0] if lines else error) from error
    if lines:
        _LOG.warning(
            "%s: %s; its pixels are used as they decode", name, lines[0]
        )


def stored_mode(photo: PIL.Image.Image) -> str:
    """Returns Pillow's name of how pixels are stored, for example RGB;16B.

    Empty once the photo is loaded.
    """
    settings = photo.tile[0].args if photo.tile else ""
    return str(settings[0]) if isinstance(settings, tuple) else str(settings)


def unreadable(name: str, error: object, remedy: str) -> UserError:
    """Returns the error that says that a photo can't be read."""
    return UserError(f"{name} is not a readable photo ({error}); {remedy}.")


def reduction(photo: PIL.Image.Image) -> int:
    """Returns the number by which `opened` divided the sides of a photo."""
    if photo.format in _JPEG_FORMATS and photo.decoderconfig:
        return photo.decoderconfig[0]
    return 1


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
            small = _cut(photo, to_rgb(photo), box)
            small.thumbnail((side, side))
            return small
    except UserError:
        return None


def _cut(
    opened_photo: PIL.Image.Image,
    rgb: PIL.Image.Image,
    box: Sequence[float] | None,
) -> PIL.Image.Image:
    """Cuts a box out of an opened photo in RGB, at least a pixel per side."""
    if box is None:
        return rgb
    factor = reduction(opened_photo)
    left, top, right, bottom = (round(edge / factor) for edge in box)
    return rgb.crop((left, top, max(right, left + 1), max(bottom, top + 1)))


def encoded_sides(encoded: bytes) -> tuple[int, int]:
    """Returns the height and width that the header of a photo states."""
    with open_header(encoded) as photo:
        return photo.height, photo.width


def jpeg_damage(encoded: bytes, pixels: int) -> str:
    """Returns what libjpeg reports of a damaged JPEG, or an empty text.

    TensorFlow prints it without a name each time it decodes the photo. The
    check decodes at an eighth of the sides: 25 ms of a processor for 12
    megapixels, where TensorFlow's decoder takes 40.

    Args:
        encoded: a JPEG in RGB or grey.
        pixels: the number that its header states.

    Raises:
        ValueError: decoding it takes too long.
    """
    held = pixels if _count_scans(encoded, pixels) > 1 else pixels // 64
    try:
        with PIXEL_BUDGET.held(held):
            simplejpeg.decode_jpeg(
                encoded, "gray", fastdct=True, fastupsample=True, min_factor=8
            )
    except ValueError as error:
        return str(error)
    return ""


def open_header(encoded: bytes) -> PIL.Image.Image:
    """Opens a photo of a supported format without decoding it.

    Unlike PIL.Image.open, whose limit of pixels is one for all formats.

    Raises:
        Exception: of any type, because Pillow's readers raise many.
    """
    PIL.Image.init()
    broken = ""
    for name in _FORMATS:
        factory, accepts = PIL.Image.OPEN.get(name, (None, None))
        if factory is None:
            continue
        try:
            # A text, if Pillow was built without the format.
            if accepts(encoded[:16]) is not True:
                continue
            photo = _read_header(factory, encoded)
        except _HEADER_ERRORS as error:
            broken = f"a broken header of {name}: {error}"
            continue
        codec = photo.tile[0][0] if photo.tile else ""
        if codec in _SLOW_CODECS and len(encoded) > _MAX_SLOW_BYTES:
            raise ValueError(
                f"a {name} of a rare kind with more than {_MAX_SLOW_BYTES} "
                "bytes, which takes minutes; convert it to PNG"
            )
        return photo
    if broken:
        raise ValueError(broken)
    if encoded[4:8] == b"ftyp" and encoded[8:12] in _HEIF_BRANDS:
        raise ValueError("HEIF needs pip install '.[heif]'")
    raise ValueError(
        "it is none of JPEG, PNG, WebP, GIF, BMP, TIFF, PPM, AVIF, HEIF"
    )


def open_metadata(
    encoded: bytes, name: str
) -> contextlib.AbstractContextManager[PIL.Image.Image]:
    """Opens a photo of which the size and the metadata are read.

    It is decoded only if it is a PNG with metadata behind the pixels.

    Args:
        encoded: a file of one of the supported formats.
        name: name of the photo, for messages.

    Raises:
        Exception: of any type; see `open_header` and `opened`.
    """
    late = has_late_metadata(encoded)
    return opened(encoded, name) if late else open_header(encoded)


def has_late_metadata(encoded: bytes) -> bool:
    """Whether a PNG may have metadata behind its pixels."""
    start = encoded.find(b"IDAT")
    return encoded.startswith(b"\x89PNG") and any(
        encoded.find(kind, start) >= 0 for kind in _METADATA
    )


def _read_header(
    factory: Callable[..., PIL.Image.Image], encoded: bytes
) -> PIL.Image.Image:
    try:
        return factory(io.BytesIO(encoded), "")
    except Exception:
        # Pillow looks for the resolution of a JPEG in its EXIF block, and fails
        # on some that are damaged; such a photo counts as upright.
        if b"Exif\0\0" not in encoded:
            raise
        unnamed = encoded.replace(b"Exif\0\0", b"Skip\0\0")
        return factory(io.BytesIO(unnamed), "")


def _count_scans(encoded: bytes, pixels: int) -> int:
    """Counts the scans of a JPEG file, and of the photos that it embeds.

    Raises:
        ValueError: Decoding them takes too long.
    """
    scans = sum(map(encoded.count, limits.SCAN_STARTS))
    most = min(limits.MAX_SCANS, limits.MAX_SCANNED_PIXELS // pixels)
    if scans > most:
        raise ValueError(f"{scans} scans, more than {most}")
    return scans

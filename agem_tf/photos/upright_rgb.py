"""Converts a decoded photo of any mode to RGB as a person sees it."""

import math
from collections.abc import Callable, Iterator

import numpy as np
import PIL.Image
import PIL.ImageChops

_ORIENTATION_TAG = 0x0112
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0
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
# Values of white in photos of floats.
_WHITES = (1, 255, 65535)
# A conversion holds several copies of what it converts.
_STRIP_PIXELS = 4_000_000

_Convert = Callable[[PIL.Image.Image], PIL.Image.Image]


def to_rgb(photo: PIL.Image.Image, upright: bool = True) -> PIL.Image.Image:
    """Converts a decoded photo to RGB as a person sees it.

    Grey integers of more than 8 bits are scaled by the smallest of 8, 10, 12
    and 16 bits that holds their maximum, floats by 1, 255 or 65535 likewise;
    larger values by their maximum, and photos with negative values from the
    smallest to the largest. What is transparent becomes white.

    Args:
        photo: a photo that `reading.opened` yields.
        upright: whether to apply the EXIF orientation.

    Raises:
        ValueError: a float is infinite or NaN.
    """
    turn = _TURNS.get(orientation(photo)) if upright else None
    convert = _converter(photo)
    if convert is not None:
        photo = _in_strips(photo, convert)
    return photo if turn is None else photo.transpose(turn)


def orientation(photo: PIL.Image.Image) -> int:
    """Returns the EXIF orientation from 1 to 8, 1 if it can't be read."""
    try:
        value = exif_of(photo).get(_ORIENTATION_TAG)
    # Ill-typed EXIF tags raise anything from TypeError to struct.error.
    except Exception:
        return 1
    return value if isinstance(value, int) and value in _TURNS else 1


def exif_of(photo: PIL.Image.Image) -> PIL.Image.Exif:
    """Returns the EXIF block of a photo, as far as it has been read.

    Of a PNG, Pillow's own method first decodes all pixels, however many these
    are; see `reading.open_metadata`.
    """
    return PIL.Image.Image.getexif(photo)


def upright_size(photo: PIL.Image.Image) -> tuple[int, int]:
    """Returns the width and height that a photo has once it is upright."""
    return photo.size[::-1] if orientation(photo) >= 5 else photo.size


def bits_of(largest: int) -> int | None:
    """Returns the usual depth that holds a value, None if it exceeds 16."""
    return next((bits for bits in _BITS if largest < 1 << bits), None)


def _converter(photo: PIL.Image.Image) -> _Convert | None:
    """Returns what converts a strip of the photo; None if it is RGB."""
    if photo.mode == "F" or photo.mode.startswith("I"):
        is_float = photo.mode == "F"
        convert = (_float_converter if is_float else _integer_converter)(photo)
        # Pillow inverts it for 8 and fewer bits only.
        if getattr(photo, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
            return lambda strip: PIL.ImageChops.invert(convert(strip))
        return convert
    if photo.has_transparency_data:
        return _on_white
    if photo.mode == "RGB":
        return None
    return lambda strip: strip.convert("RGB")


def _in_strips(photo: PIL.Image.Image, convert: _Convert) -> PIL.Image.Image:
    rgb = PIL.Image.new("RGB", photo.size)
    for top, strip in strips(photo):
        rgb.paste(convert(strip), (0, top))
    return rgb


def strips(
    photo: PIL.Image.Image,
) -> Iterator[tuple[int, PIL.Image.Image]]:
    """Yields parts of a photo of bounded size: the first row, and the part."""
    rows = max(_STRIP_PIXELS // photo.width, 1)
    for top in range(0, photo.height, rows):
        bottom = min(top + rows, photo.height)
        yield top, photo.crop((0, top, photo.width, bottom))


def _on_white(strip: PIL.Image.Image) -> PIL.Image.Image:
    # Whatever colour an editor left under the transparent parts is hidden.
    strip = strip.convert("RGBA")
    white = PIL.Image.new("RGBA", strip.size, "white")
    return PIL.Image.alpha_composite(white, strip).convert("RGB")


def _extremes(photo: PIL.Image.Image) -> tuple[float, float]:
    """Returns the smallest, if it is negative, and the largest value of grey.

    Raises:
        ValueError: a value is infinite or NaN.
    """
    smallest, largest = 0, -math.inf
    for _, strip in strips(photo):
        values = np.asarray(strip)
        if not np.isfinite(values).all():
            raise ValueError("a pixel is infinite or NaN")
        smallest = min(smallest, values.min().item())
        largest = max(largest, values.max().item())
    return smallest, largest


def _float_converter(photo: PIL.Image.Image) -> _Convert:
    black, white = _extremes(photo)
    if black == 0:
        white = next((bound for bound in _WHITES if white <= bound), white)

    def convert(strip: PIL.Image.Image) -> PIL.Image.Image:
        values = np.asarray(strip, np.float64)
        grey = np.round((values - black) / ((white - black) or 1) * 255)
        return PIL.Image.fromarray(grey.astype(np.uint8)).convert("RGB")

    return convert


def _integer_converter(photo: PIL.Image.Image) -> _Convert:
    """Scales grey of 16 or 32 bits; Pillow would clip it at 255."""
    black, white = _extremes(photo)
    bits = bits_of(white)
    key = photo.info.get("transparency")

    def convert(strip: PIL.Image.Image) -> PIL.Image.Image:
        values = np.asarray(strip).astype(np.int64)
        if bits and black == 0:
            grey = values >> (bits - 8)
        else:
            grey = 255 * (values - black) // ((white - black) or 1)
        grey = grey.astype(np.uint8)
        if isinstance(key, int):
            grey[values == key] = 255
        return PIL.Image.fromarray(grey).convert("RGB")

    return convert

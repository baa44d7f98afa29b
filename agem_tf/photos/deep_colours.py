"""Scales colours of 16 bits per channel, of which Pillow keeps the upper 8.

Many programs store 8, 10 or 12 bits in 16; their upper bytes are black or
nearly so. The lower bytes are then decoded too, by telling Pillow the other
order of bytes.
"""

import sys
from collections.abc import Callable

import numpy as np
import PIL.Image
from PIL import ImageFile

from agem_tf.photos.upright_rgb import bits_of, strips

_OTHER_ORDER = {"L": "B", "B": "L", "N": "B"}
if sys.byteorder == "big":
    _OTHER_ORDER["N"] = "L"
# Pillow's name of how pixels are stored -> the one that gives the lower bytes.
# Grey with alpha is 4 bytes per pixel, of which it keeps the first and third.
_LOWER = {
    f"{bands};16{order}": f"{bands};16{other}"
    for bands in ("RGB", "RGBA", "RGBX", "CMYK")
    for order, other in _OTHER_ORDER.items()
} | {"LA;16B": "RGBA"}
# Those whose lower bytes Pillow does not give: multiplied by alpha.
_PREMULTIPLIED = ("RGBa;16L", "RGBa;16B", "RGBa;16N")
_BITS_PER_SAMPLE, _PLANAR_CONFIGURATION, _SEPARATE_PLANES = 258, 284, 2


def is_deep(stored: str) -> bool:
    """Whether `reading.stored_mode` names colours of 16 bits per channel."""
    return stored in _LOWER or stored in _PREMULTIPLIED


def scale_deep_colours(
    photo: PIL.Image.Image,
    stored: str,
    reopen: Callable[[], PIL.Image.Image],
) -> None:
    """Scales colours in place, by the smallest depth that holds their maximum.

    The depths are those of grey; see `upright_rgb.to_rgb`. Alpha has the depth
    of the colours, or 16 bits if it exceeds that.

    Args:
        photo: a loaded photo.
        stored: what `reading.stored_mode` returned before it was loaded.
        reopen: opens the same file again.

    Raises:
        ValueError: Pillow does not give what is needed.
    """
    tags = getattr(photo, "tag_v2", {})
    is_separate = tags.get(_PLANAR_CONFIGURATION) == _SEPARATE_PLANES
    if is_separate and not is_deep(stored):
        # Pillow reads them as bytes if they are not compressed.
        if 16 in tags.get(_BITS_PER_SAMPLE, ()):
            raise ValueError(
                "a TIFF of 16 bits per colour in separate planes without "
                "compression; convert it to PNG"
            )
    if not is_deep(stored):
        return
    colours = 4 if photo.mode == "CMYK" else 3
    # Pillow has divided them by alpha.
    is_divided = stored in _PREMULTIPLIED
    telling = slice(3, 4) if is_divided else slice(colours)
    largest = max(most for _, most in photo.getextrema()[telling])
    # From 13 bits on, the upper bytes are what scaling would give.
    if largest >= 16 and "transparency" not in photo.info:
        return
    if is_separate or is_divided:
        raise ValueError(
            f"of its 16 bits per colour the upper {8 - largest.bit_length()} "
            "are unused; scale the colours to 16 bits"
        )
    with reopen() as lower:
        lower.tile = [_with_mode(tile, _LOWER[stored]) for tile in lower.tile]
        lower.load()
        _join(photo, lower, stored, colours)


def _with_mode(tile: ImageFile._Tile, mode: str) -> ImageFile._Tile:
    is_tuple = isinstance(tile.args, tuple)
    return tile._replace(args=(mode, *tile.args[1:]) if is_tuple else mode)


def _join(
    photo: PIL.Image.Image, lower: PIL.Image.Image, stored: str, colours: int
) -> None:
    def values(strip: PIL.Image.Image, top: int) -> np.ndarray:
        box = (0, top, photo.width, top + strip.height)
        low = np.asarray(lower.crop(box))
        if stored == "LA;16B":
            low = low[..., [1, 1, 1, 3]]
        return np.asarray(strip).astype(np.uint16) << 8 | low

    largest = np.zeros(len(photo.getbands()), np.int64)
    for top, strip in strips(photo):
        found = values(strip, top)
        largest = np.maximum(largest, found.max(axis=(0, 1)))
    bits = bits_of(largest[:colours].max())
    shifts = np.full(len(largest), bits - 8, np.uint16)
    if largest[-1] >= 1 << bits:
        shifts[-1] = 8
    key = photo.info.pop("transparency", None)
    for top, strip in strips(photo):
        found = values(strip, top)
        scaled = (found >> shifts).astype(np.uint8)
        if key is not None:
            scaled[(found == key).all(axis=-1)] = 255
        joined = PIL.Image.fromarray(scaled, photo.mode)
        photo.paste(joined, (0, top))

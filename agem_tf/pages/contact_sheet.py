"""Photos with captions in a grid, as one picture."""

import functools
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

_TEXT_COLOR = "#1c2430"
_EMPTY_COLOR = "#f1f3f6"
_GAP = 12
_FONT_SIZE = 13
_CAPTION_HEIGHT = 24


def contact_sheet(
    photos: Sequence[np.ndarray | Image.Image],
    captions: Sequence[str] = (),
    columns: int = 6,
    size: int = 160,
) -> Image.Image:
    """Draws photos in a grid.

    Args:
        photos: (height, width, 3) uint8 RGB each, or Pillow images.
        captions: one per photo, or none.
        columns: number of photos per row.
        size: side of a photo's square, in pixels.
    """
    if captions and len(captions) != len(photos):
        raise ValueError(
            "`captions` must be empty or name every photo. Received: "
            f"{len(captions)} captions and {len(photos)} photos"
        )
    height = size + (_CAPTION_HEIGHT if captions else 0)
    rows = -(-len(photos) // columns)
    sheet = Image.new(
        "RGB",
        (
            max(min(len(photos), columns) * (size + _GAP) - _GAP, 1),
            max(rows * (height + _GAP) - _GAP, 1),
        ),
        "white",
    )
    draw = ImageDraw.Draw(sheet)
    for index, photo in enumerate(photos):
        if isinstance(photo, np.ndarray):
            photo = Image.fromarray(photo)
        square = ImageOps.pad(
            photo.convert("RGB"),
            (size, size),
            Image.Resampling.LANCZOS,
            color=_EMPTY_COLOR,
        )
        x = index % columns * (size + _GAP)
        y = index // columns * (height + _GAP)
        sheet.paste(square, (x, y))
        if captions:
            text = _shortened(captions[index], size)
            draw.text((x, y + size + 4), text, _TEXT_COLOR, _font())
    return sheet


def _shortened(text: str, width: int) -> str:
    """Cuts the start of a text, so that the rest fits `width` pixels."""
    text = " ".join(text.split())
    if _font().getlength(text) <= width:
        return text
    while text and _font().getlength("…" + text) > width:
        text = text[1:]
    return "…" + text


@functools.cache
def _font() -> ImageFont.FreeTypeFont:
    """Returns Matplotlib's own font: many scripts, on every system."""
    fonts = Path(matplotlib.get_data_path(), "fonts", "ttf")
    return ImageFont.truetype(fonts / "DejaVuSans.ttf", _FONT_SIZE)

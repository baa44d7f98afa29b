"""Pictures of what a model finds and looks at, and of how it learned.

Functions return Pillow images or Matplotlib figures and write nothing; figures
use Matplotlib's object interface, so that no display and no global state is
involved.
"""

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont, ImageOps

from agem_tf.pages.report import FRAME_COLORS

Photo = np.ndarray | Image.Image

POSITIVE = "positive"
JUNK = "junk"
NEGATIVE = "negative"

# A mark besides the colour, for those who cannot tell red from green.
_MARKS = {POSITIVE: "✓", JUNK: "–", NEGATIVE: "✗"}
_TEXT_COLOR = "#1c2430"
_SOFT_COLOR = "#5d6877"
_EMPTY_COLOR = "#f1f3f6"
_FRAME = 5
_GAP = 12
_FONT_SIZE = 13
_LINE_HEIGHT = 18

# Title, and (key of a row, label) of its curves.
_CURVES = (
    ("Loss", (("train_loss", "training"), ("validation_loss", "validation"))),
    ("Mean average precision", (("validation_map", "mAP"),)),
    ("Pooling exponent p", (("p", "p"),)),
)


@dataclass(frozen=True, eq=False)
class RankedPhoto:
    """One photo of a rank list.

    Attributes:
        photo: (height, width, 3) uint8 RGB, or a Pillow image.
        verdict: "positive", "junk" or "negative".
        similarity: to the query.
        caption: such as the name of the photo.
    """

    photo: Photo
    verdict: str
    similarity: float
    caption: str = ""

    def __post_init__(self) -> None:
        if self.verdict not in _MARKS:
            raise ValueError(
                f"`verdict` must be one of {sorted(_MARKS)}. Received: "
                f"verdict={self.verdict!r}"
            )


def rank_list(
    query: Photo,
    results: Sequence[RankedPhoto],
    query_caption: str = "",
    columns: int = 5,
    size: int = 176,
) -> Image.Image:
    """Draws a query and what it found, framed by verdict.

    Frames are blue for the query, green for positives, grey for junk and red
    for other photos.

    Args:
        query: (height, width, 3) uint8 RGB, or a Pillow image.
        results: best first.
        query_caption: below the query.
        columns: results in a line.
        size: side of a photo's square, in pixels.
    """
    tiles = [
        _result_tile(result, position, size)
        for position, result in enumerate(results, 1)
    ]
    query_tile = _tile(
        query, size, ("Query", query_caption), FRAME_COLORS["query"]
    )
    found = _grid(tiles, columns)
    # Twice the gap tells the query from what it found.
    return _paste(
        [(query_tile, (0, 0)), (found, (query_tile.width + 2 * _GAP, 0))]
    )


def contact_sheet(
    photos: Sequence[Photo],
    captions: Sequence[str] = (),
    columns: int = 6,
    size: int = 160,
) -> Image.Image:
    """Draws photos in a grid.

    Args:
        photos: (height, width, 3) uint8 RGB each, or Pillow images.
        captions: one per photo, or none at all.
        columns: photos in a line.
        size: side of a photo's square, in pixels.
    """
    if captions and len(captions) != len(photos):
        raise ValueError(
            "`captions` must be empty or name every photo. Received: "
            f"{len(captions)} captions and {len(photos)} photos"
        )
    lines = [(caption,) for caption in captions] or [()] * len(photos)
    tiles = [
        _tile(photo, size, text)
        for photo, text in zip(photos, lines, strict=True)
    ]
    return _grid(tiles, columns)


def overlay(
    photo: np.ndarray, heat: np.ndarray, opacity: float = 0.7
) -> np.ndarray:
    """Lays a heat map over a photo.

    The map is stretched to its own range: colours compare places of one photo,
    not photos. A constant map shows no colour.

    Args:
        photo: (height, width, 3) uint8 RGB.
        heat: (rows, columns) of any finite range, enlarged bilinearly.
        opacity: of the hottest place, 0 to 1; the coldest is transparent.

    Returns:
        (height, width, 3) uint8.
    """
    heat = _stretch(np.asarray(heat, np.float32))
    enlarged = Image.fromarray(heat).resize(
        photo.shape[1::-1], Image.Resampling.BILINEAR
    )
    level = np.clip(np.asarray(enlarged), 0, 1)
    colors = matplotlib.colormaps["inferno"](level)[..., :3] * 255
    weight = opacity * level[..., np.newaxis]
    return np.round((1 - weight) * photo + weight * colors).astype(np.uint8)


def training_curves(rows: Sequence[Mapping[str, float]]) -> Figure:
    """Draws how training went.

    Args:
        rows: one per epoch, with "epoch" and any of "train_loss",
            "validation_loss", "validation_map" and "p". What a row
            lacks, or has as NaN, is left out of its curve; a panel without
            values is left out of the figure.
    """
    panels = [
        (title, [(label, _curve(rows, key)) for key, label in keys])
        for title, keys in _CURVES
        if any(_curve(rows, key)[0] for key, _ in keys)
    ]
    width = max(1, len(panels))
    figure = Figure(figsize=(4.2 * width, 3.2), layout="constrained")
    for number, (title, curves) in enumerate(panels, 1):
        axes = figure.add_subplot(1, len(panels), number)
        axes.set(title=title, xlabel="epoch")
        for label, (epochs, values) in curves:
            if epochs:
                axes.plot(epochs, values, marker="o", ms=3, label=label)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        if len(curves) > 1:
            axes.legend(frameon=False)
    return figure


def figure_to_image(figure: Figure, dots_per_inch: int = 150) -> Image.Image:
    """Renders a figure as an RGB image."""
    figure.set_dpi(dots_per_inch)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def _curve(
    rows: Sequence[Mapping[str, float]], key: str
) -> tuple[list[float], list[float]]:
    points = [
        (row["epoch"], row[key])
        for row in rows
        if row.get(key) is not None and not math.isnan(row[key])
    ]
    return [epoch for epoch, _ in points], [value for _, value in points]


def _stretch(heat: np.ndarray) -> np.ndarray:
    """Maps the range of `heat` to 0..1, a constant to 0."""
    low, high = heat.min(), heat.max()
    # A range within rounding errors is noise, not attention.
    if high - low <= 1e-6 * max(abs(low), abs(high)):
        return np.zeros_like(heat)
    return (heat - low) / (high - low)


def _result_tile(result: RankedPhoto, position: int, size: int) -> Image.Image:
    mark = _MARKS[result.verdict]
    lines = (f"{position} {mark}  {result.similarity:.3f}", result.caption)
    return _tile(result.photo, size, lines, FRAME_COLORS[result.verdict])


def _tile(
    photo: Photo, size: int, lines: Sequence[str], color: str | None = None
) -> Image.Image:
    """A photo on its square, with a frame and lines of text below."""
    image = photo if isinstance(photo, Image.Image) else Image.fromarray(photo)
    frame = _FRAME if color else 0
    inner = (size - 2 * frame, size - 2 * frame)
    square = ImageOps.pad(
        image.convert("RGB"),
        inner,
        Image.Resampling.LANCZOS,
        color=_EMPTY_COLOR,
    )
    height = size + _LINE_HEIGHT * len(lines) + (6 if lines else 0)
    tile = Image.new("RGB", (size, height), "white")
    draw = ImageDraw.Draw(tile)
    if color:
        draw.rectangle((0, 0, size - 1, size - 1), fill=color)
    tile.paste(square, (frame, frame))
    for number, line in enumerate(lines):
        draw.text(
            (0, size + 4 + number * _LINE_HEIGHT),
            _shorten(line, size),
            fill=_SOFT_COLOR if number else _TEXT_COLOR,
            font=_font(),
        )
    return tile


def _grid(tiles: Sequence[Image.Image], columns: int) -> Image.Image:
    return _paste(
        [
            (
                tile,
                (
                    index % columns * (tile.width + _GAP),
                    index // columns * (tile.height + _GAP),
                ),
            )
            for index, tile in enumerate(tiles)
        ]
    )


def _paste(
    placed: Sequence[tuple[Image.Image, tuple[int, int]]],
) -> Image.Image:
    """Puts images at (x, y) on a white canvas that just holds them."""
    width = max((x + image.width for image, (x, _) in placed), default=1)
    height = max((y + image.height for image, (_, y) in placed), default=1)
    canvas = Image.new("RGB", (width, height), "white")
    for image, position in placed:
        canvas.paste(image, position)
    return canvas


def _shorten(text: str, width: int) -> str:
    """Cuts the text so that it fits `width` pixels; the end tells more."""
    text = " ".join(text.split())
    if _font().getlength(text) <= width:
        return text
    while text and _font().getlength("…" + text) > width:
        text = text[1:]
    return "…" + text


@functools.cache
def _font() -> ImageFont.FreeTypeFont:
    """The font that comes with Matplotlib: many scripts, on every system."""
    fonts = Path(matplotlib.get_data_path(), "fonts", "ttf")
    return ImageFont.truetype(fonts / "DejaVuSans.ttf", _FONT_SIZE)

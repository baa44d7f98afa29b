"""The one HTML page of all commands: a file that opens anywhere.

Pictures are embedded and nothing is loaded from elsewhere. Names of photos come
from anywhere, so every text is escaped.
"""

import base64
import functools
import io
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from agem_tf.pages import templates

Cell = str | int | float | None

# Frames of the photos in rank lists; the page has a legend of them.
FRAME_COLORS = {
    "query": "#2563eb",
    "positive": "#16a34a",
    "junk": "#9ca3af",
    "negative": "#dc2626",
    # Not judged.
    "found": "#e2e6ec",
}

# Marks besides the colour, for readers who see no red or green.
_MARKS = {
    "query": "",
    "positive": "✓",
    "junk": "–",
    "negative": "✗",
    "found": "",
}

# Longest side in pixels of the photos to put on tiles, which are about 240
# pixels wide; more for dense screens.
THUMBNAIL_SIDE = 360

# A table of more rows is folded up, one of more columns takes the full width.
_LONG_TABLE = 20
_WIDE_TABLE = 5
# Longest name below a tile, in characters.
_NAME_LENGTH = 30

_JPEG_QUALITY = 82
_MISSING = "–"


@dataclass(frozen=True)
class Table:
    """A table of scores or settings.

    Attributes:
        title: heading above the table.
        columns: headings.
        rows: cells, as many per row as there are headings. Floats are shown
            with four digits; None and NaN as a dash.
        note: sentences below the table.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(
                    f"`rows` must have {len(self.columns)} cells each. "
                    f"Received: {row!r}"
                )

    @property
    def alignments(self) -> list[str]:
        """Per column: "number" if all cells are numbers, else "text"."""
        columns = zip(*self.rows, strict=True)
        kinds = [all(map(_reads_as_number, column)) for column in columns]
        # Without rows there are no cells to go by.
        kinds = kinds or [False] * len(self.columns)
        return ["number" if numeric else "text" for numeric in kinds]


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture with its title and caption.

    Attributes:
        image: picture of any mode; shown at its own size where the page has
            room.
        title: heading above the picture.
        caption: text below the picture.
    """

    image: Image.Image
    title: str = ""
    caption: str = ""


@dataclass(frozen=True, eq=False)
class Tile:
    """One photo of a rank list.

    Attributes:
        name: name of the photo.
        verdict: a key of `FRAME_COLORS`.
        caption: its rank and similarity, for example.
        photo: the photo, at most `THUMBNAIL_SIDE` wide and high; None shows
            the name in its place.
    """

    name: str
    verdict: str
    caption: str = ""
    photo: Image.Image | None = None

    def __post_init__(self) -> None:
        if self.verdict not in FRAME_COLORS:
            raise ValueError(
                f"`verdict` must be one of {sorted(FRAME_COLORS)}. Received: "
                f"verdict={self.verdict!r}"
            )


@dataclass(frozen=True, eq=False)
class RankList:
    """A query and what it found.

    Attributes:
        title: heading, such as the query's name and score.
        tiles: the query, then the photos, best first.
    """

    title: str
    tiles: Sequence[Tile]


@dataclass(frozen=True, eq=False)
class Report:
    """Content of the page, in this order; empty sections are left out.

    Attributes:
        title: title of the page.
        subtitle: what the page shows, in one sentence.
        summary: (name, value) of the most important numbers.
        tables: all numbers.
        figures: curves and charts.
        rank_lists: queries with the photos that they found.
        attention: photos with the model's attention.
        matches: pairs of photos with their matches.
    """

    title: str
    subtitle: str = ""
    summary: Sequence[tuple[str, Cell]] = ()
    tables: Sequence[Table] = ()
    figures: Sequence[Picture] = ()
    rank_lists: Sequence[RankList] = ()
    attention: Sequence[Picture] = ()
    matches: Sequence[Picture] = ()

    @property
    def is_judged(self) -> bool:
        """Whether any rank list marks photos as right or wrong."""
        return any(
            tile.verdict not in ("query", "found")
            for rank_list in self.rank_lists
            for tile in rank_list.tiles
        )

    def to_html(self) -> str:
        """Returns the whole page."""
        filters = {
            "cell": _format_cell,
            "lossless": functools.partial(_data_url, kind="PNG"),
            "photo": jpeg_url,
            "shortened": shortened,
        }
        return templates.rendered(
            "agem_tf.pages",
            "report.html",
            filters,
            report=self,
            colors=FRAME_COLORS,
            marks=_MARKS,
            long_table=_LONG_TABLE,
            wide_table=_WIDE_TABLE,
        )

    def save(self, path: str | os.PathLike) -> None:
        """Writes the page to one HTML file."""
        templates.save_page(path, self.to_html())


def counted(number: int, singular: str, plural: str | None = None) -> str:
    """Returns a number and its noun: "1 query", "1,200 queries"."""
    noun = singular if number == 1 else plural or f"{singular}s"
    return f"{number:,} {noun}"


def jpeg_url(image: Image.Image) -> str:
    """Returns a photo as the address of an embedded JPEG."""
    return _data_url(image, "JPEG")


def shortened(name: str) -> str:
    """Cuts the middle of a long name: folder and file tell photos apart."""
    if len(name) <= _NAME_LENGTH:
        return name
    half = (_NAME_LENGTH - 1) // 2
    return f"{name[:half]}…{name[-half:]}"


def _format_cell(value: Cell) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return _MISSING
    if isinstance(value, float):
        # Scores align at the point; learning rates and the like need exponents.
        fixed = value == 0 or 1e-3 <= abs(value) < 10
        return f"{value:.4f}" if fixed else f"{value:.4g}"
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    return f"{value:,}" if is_integer else str(value)


def _reads_as_number(value: Cell) -> bool:
    if isinstance(value, bool):
        return False
    if not isinstance(value, str):
        return True
    return value in ("-", _MISSING) or value.replace(".", "", 1).isdecimal()


def _data_url(image: Image.Image, kind: str) -> str:
    buffer = io.BytesIO()
    if kind == "PNG":
        image.save(buffer, kind, optimize=True)
    else:
        image.convert("RGB").save(buffer, kind, quality=_JPEG_QUALITY)
    content = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f"data:image/{kind.lower()};base64,{content}"

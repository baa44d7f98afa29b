"""An evaluation as one HTML file that can be mailed and opened anywhere.

Pictures are embedded and nothing is loaded from elsewhere. Photos are named by
strangers, so every text is escaped.
"""

import base64
import io
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

import jinja2
from PIL import Image

from agem_tf.files.atomic_writing import atomic_file

Cell = str | int | float | None

# Frames of the photos in rank lists, as the page's legend explains them.
FRAME_COLORS = {
    "query": "#2563eb",
    "positive": "#16a34a",
    "junk": "#9ca3af",
    "negative": "#dc2626",
    # Nobody knows whether it is right.
    "found": "#e2e6ec",
}

# Besides the colour, for those who cannot tell red from green.
_MARKS = {
    "query": "",
    "positive": "✓",
    "junk": "–",
    "negative": "✗",
    "found": "",
}

# Rows of a table beyond which it is folded up.
_LONG_TABLE = 20

_JPEG_QUALITY = 88
_MISSING = "–"


@dataclass(frozen=True)
class Table:
    """A table of scores or settings.

    Attributes:
        title: above the table.
        columns: headings.
        rows: cells, as many per row as there are headings. Floats are shown
            with four digits; None and NaN as a dash.
        note: below the table, such as what the numbers may be compared with.
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
        """Per column "number" if all its cells read as numbers, or "text"."""
        columns = zip(*self.rows, strict=True)
        kinds = [all(map(_reads_as_number, column)) for column in columns]
        # Without rows there are no cells to go by.
        kinds = kinds or [False] * len(self.columns)
        return ["number" if numeric else "text" for numeric in kinds]


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture with the words that belong to it.

    Attributes:
        image: in any mode; shown at its own size where the page has room.
        title: above the picture, such as a query's name and score.
        caption: below the picture.
    """

    image: Image.Image
    title: str = ""
    caption: str = ""


@dataclass(frozen=True, eq=False)
class Tile:
    """One photo of a rank list.

    Attributes:
        name: of the photo.
        verdict: a key of `FRAME_COLORS`.
        caption: such as its place and similarity.
        photo: small; None leaves the name to stand for it.
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
        title: such as the query's name and score.
        tiles: the query, then the photos, best first.
    """

    title: str
    tiles: Sequence[Tile]


@dataclass(frozen=True, eq=False)
class Report:
    """What the page shows, in this order; empty sections are left out.

    Attributes:
        title: of the page.
        subtitle: what was evaluated, in one sentence.
        summary: (name, value) of the few numbers that matter most.
        tables: all numbers.
        figures: curves and charts.
        rank_lists: queries with what they found, as pictures.
        attention: photos with what the model looks at.
        answers: rank lists as tiles, also of photos that are not at hand; they
            stand with the others.
    """

    title: str
    subtitle: str = ""
    summary: Sequence[tuple[str, Cell]] = ()
    tables: Sequence[Table] = ()
    figures: Sequence[Picture] = ()
    rank_lists: Sequence[Picture] = ()
    attention: Sequence[Picture] = ()
    answers: Sequence[RankList] = ()

    @property
    def is_judged(self) -> bool:
        """Whether any rank list tells right from wrong."""
        return bool(self.rank_lists) or any(
            tile.verdict not in ("query", "found")
            for answer in self.answers
            for tile in answer.tiles
        )

    def to_html(self) -> str:
        """Returns the whole page."""
        source = resources.files("agem_tf.pages").joinpath("report.html")
        environment = jinja2.Environment(
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
        )
        environment.filters.update(
            cell=_format_cell,
            lossless=_png_url,
            photo=_jpeg_url,
        )
        template = environment.from_string(source.read_text(encoding="utf-8"))
        return template.render(
            report=self,
            colors=FRAME_COLORS,
            marks=_MARKS,
            long_table=_LONG_TABLE,
        )

    def save(self, path: str | os.PathLike) -> None:
        """Writes the page to one HTML file."""
        with atomic_file(path) as temporary:
            # Photo names on Linux are bytes that need not be valid UTF-8.
            temporary.write_text(
                self.to_html(), encoding="utf-8", errors="replace"
            )


def _format_cell(value: Cell) -> str:
    if value is None:
        return _MISSING
    if isinstance(value, float):
        return _format_float(value)
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    return f"{value:,}" if is_integer else str(value)


def _format_float(value: float) -> str:
    if math.isnan(value):
        return _MISSING
    # Scores line up at the point; learning rates and the like need exponents.
    fixed = value == 0 or 1e-3 <= abs(value) < 10
    return f"{value:.4f}" if fixed else f"{value:.4g}"


def _reads_as_number(value: Cell) -> bool:
    if isinstance(value, bool):
        return False
    if not isinstance(value, str):
        return True
    return value in ("-", _MISSING) or value.replace(".", "", 1).isdecimal()


def _png_url(image: Image.Image) -> str:
    return _data_url(image, "PNG", optimize=True)


def _jpeg_url(image: Image.Image) -> str:
    return _data_url(
        image.convert("RGB"), "JPEG", quality=_JPEG_QUALITY, subsampling=0
    )


def _data_url(image: Image.Image, kind: str, **options: object) -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    content = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f"data:image/{kind.lower()};base64,{content}"

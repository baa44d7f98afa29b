"""The report as a browser would read it."""

import base64
import html.parser
import io
import math

import pytest
from PIL import Image

from agem_tf.pages.report import (
    FRAME_COLORS,
    Picture,
    RankList,
    Report,
    Table,
    Tile,
    counted,
)


class _Page(html.parser.HTMLParser):
    """Collects the tags, the visible text and the pictures of a page."""

    def __init__(self, source):
        super().__init__()
        self.tags, self.words, self.images, self.sources = [], [], [], []
        self.feed(source)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        attributes = dict(attributes)
        self.sources += [
            attributes[k] for k in ("src", "href") if k in attributes
        ]
        if tag == "img":
            encoded = attributes["src"].partition("base64,")[2]
            content = io.BytesIO(base64.b64decode(encoded))
            self.images.append((attributes["alt"], Image.open(content)))

    def handle_data(self, data):
        if data.strip():
            self.words.append(data.strip())


def _picture(color, **words):
    return Picture(Image.new("RGB", (40, 30), color), **words)


def _rank_list(color, name, title):
    photo = Image.new("RGB", (40, 30), color)
    return RankList(title, [Tile(name, "query", "AP 0.5", photo)])


def test_all_sections_are_shown():
    page = _Page(
        Report(
            "Scores of AGeM",
            subtitle="On synthetic landmarks.",
            summary=[("mAP Medium", 0.52361)],
            tables=[Table("Revisited", ["Level", "mAP"], [["Easy", 0.5]])],
            figures=[_picture("white", title="Curves")],
            rank_lists=[_rank_list("red", "query 1", "query 1: 50 %")],
            attention=[_picture("blue", title="photo 1")],
        ).to_html()
    )
    for text in ("Scores of AGeM", "On synthetic landmarks.", "0.5236"):
        assert text in page.words
    for text in ("Figures", "Rank lists", "Attention", "Easy", "AP 0.5"):
        assert text in page.words
    assert [alt for alt, _ in page.images] == ["Curves", "query 1", "photo 1"]
    formats = [image.format for _, image in page.images]
    assert formats == ["PNG", "JPEG", "JPEG"]
    red, green, _ = page.images[1][1].getpixel((20, 15))
    assert red > 240 and green < 15


def test_sections_without_content_are_left_out():
    page = _Page(Report("Scores").to_html())
    assert not {"section", "dl", "img", "table"} & set(page.tags)


def test_names_are_escaped():
    evil = '"><script>alert(1)</script>'
    picture = _picture("red", title=evil, caption=evil)
    report = Report(
        evil,
        evil,
        [(evil, evil)],
        [Table(evil, [evil], [[evil]], evil)],
        [picture],
        [RankList(evil, [Tile(evil, "query", evil, picture.image)])],
        [picture],
    )
    page = _Page(report.to_html())
    assert "script" not in page.tags
    assert page.words.count(evil) == 16
    assert page.images[0][0] == evil


def test_the_page_loads_nothing_from_elsewhere():
    pictures = [_picture("red", title="photo")]
    source = Report("Scores", figures=pictures, attention=pictures).to_html()
    sources = _Page(source).sources
    assert sources
    assert all(url.startswith("data:image/") for url in sources)
    assert "http" not in source


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.79166, "0.7917"),
        (1.0, "1.0000"),
        (5e-7, "5e-07"),
        (4993, "4,993"),
        (None, "–"),
        (math.nan, "–"),
        (True, "True"),
    ],
)
def test_numbers_are_readable(value, text):
    page = _Page(Report("Scores", summary=[("name", value)]).to_html())
    assert text in page.words


def test_columns_of_numbers_are_aligned():
    table = Table("t", ["a", "b", "c"], [["x", 1, 2], ["y", None, "z"]])
    assert table.alignments == ["text", "number", "text"]
    assert Table("t", ["a", "b"], []).alignments == ["text", "text"]


def test_rows_must_fill_the_columns():
    with pytest.raises(ValueError, match="2 cells"):
        Table("t", ["a", "b"], [["x", 1], ["y"]])


@pytest.mark.parametrize(("rows", "folded"), [(20, False), (21, True)])
def test_long_tables_are_folded_up(rows, folded):
    table = Table("Queries", ["name"], [[f"q{i}"] for i in range(rows)])
    page = _Page(Report("Scores", tables=[table]).to_html())
    assert ("details" in page.tags) == folded
    assert f"q{rows - 1}" in page.words


def test_rank_lists_are_tiles_with_or_without_photos():
    photo = Image.new("RGB", (9, 6), "red")
    tiles = [
        Tile("crop", "query", photo=photo),
        Tile("<b>church</b>", "positive", "1: 0.912"),
        Tile("mill", "negative", "2: 0.5", photo),
    ]
    source = Report(
        "Scores", rank_lists=[RankList("crop: 50 %", tiles)]
    ).to_html()
    page = _Page(source)
    assert [alt for alt, _ in page.images] == ["crop", "mill"]
    assert {"crop: 50 %", "<b>church</b>", "1: 0.912 ✓"} <= set(page.words)
    assert "Rank lists" in page.words
    frames = [
        source.index(f"--frame: {c}") for c in ("#2563", "#16a3", "#dc26")
    ]
    assert frames == sorted(frames)


def test_frames_show_the_verdicts():
    tiles = [Tile(verdict, verdict) for verdict in FRAME_COLORS]
    source = Report("Scores", rank_lists=[RankList("q", tiles)]).to_html()
    for verdict, color in (
        ("query", "#2563eb"),
        ("positive", "#16a34a"),
        ("junk", "#9ca3af"),
        ("negative", "#dc2626"),
    ):
        assert f'--frame: {color}" title="{verdict}"' in source
    assert "positive ✓" in source


def test_a_query_that_found_nothing_is_shown():
    report = Report("Scores", rank_lists=[RankList("q", [Tile("q", "query")])])
    assert "--frame: #2563eb" in report.to_html()


def test_long_names_are_cut_in_the_middle():
    photo = Image.new("RGB", (9, 6), "red")
    names = [f"{'folder' * 9}/church/{number}.jpg" for number in (1, 2)]
    tiles = [Tile(name, "found", "1: 0.9", photo) for name in names]
    page = _Page(Report("Search", rank_lists=[RankList("q", tiles)]).to_html())
    shown = [word for word in page.words if "…" in word]
    assert len(set(shown)) == 2
    assert all(len(word) < 32 for word in shown)
    assert shown[0].startswith("folder") and shown[0].endswith("church/1.jpg")


def test_numbers_agree_with_their_nouns():
    assert counted(1, "query", "queries") == "1 query"
    assert counted(1200, "query", "queries") == "1,200 queries"
    assert counted(0, "photo") == "0 photos"


def test_tiles_know_their_verdicts():
    with pytest.raises(ValueError, match="verdict='right'"):
        Tile("church", "right")


def test_the_page_is_saved_with_a_name_that_is_not_utf8(tmp_path):
    Report("photo \udcff").save(tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "photo ?" in text

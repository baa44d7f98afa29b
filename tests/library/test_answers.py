"""What was found, as lines and as a page."""

import base64
import io
import re

import numpy as np
import PIL.Image
import pytest

from agem_tf.library.answers import Answer, save_answers_page
from agem_tf.pages.report import THUMBNAIL_SIDE
from agem_tf.retrieval.indexes import Match


@pytest.fixture
def answer(photos):
    matches = [
        Match("place0 1.jpg", 0.91234),
        Match("deep0/place1 1.jpg", 0.5),
        Match("gone & <away>.jpg", -0.25),
    ]
    return Answer(str(photos / "place0 0.png"), matches)


def pictures(page):
    """The photos that a page embeds."""
    found = re.findall(r"data:image/jpeg;base64,([^\"]+)", page)
    return [PIL.Image.open(io.BytesIO(base64.b64decode(f))) for f in found]


def test_lines_have_rank_similarity_and_name(answer):
    assert answer.lines().splitlines()[1:] == [
        "   1  0.9123  place0 1.jpg",
        "   2  0.5000  deep0/place1 1.jpg",
        "   3 -0.2500  gone & <away>.jpg",
    ]


def test_the_page_shows_photos_and_names_what_is_gone(answer, photos, tmp_path):
    save_answers_page(tmp_path / "page.html", [answer], str(photos))
    page = (tmp_path / "page.html").read_text()
    shown = pictures(page)
    assert [photo.size for photo in shown] == [(90, 70)] * 3
    original = PIL.Image.open(photos / "deep0" / "place1 1.jpg")
    difference = np.subtract(shown[2], original, dtype=np.float32)
    assert np.abs(difference).mean() < 5
    assert "gone &amp; &lt;away&gt;.jpg" in page
    # Nobody judged these, so that no legend of right and wrong belongs here.
    assert "other landmark" not in page


def test_the_page_shows_what_was_searched_for(photos, tmp_path):
    lying = PIL.Image.open(photos / "place0 0.png")
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    lying.save(tmp_path / "rotated.jpg", exif=exif)
    answer = Answer(str(tmp_path / "rotated.jpg"), [], (10, 20, 40, 60))
    save_answers_page(tmp_path / "page.html", [answer], None)
    (shown,) = pictures((tmp_path / "page.html").read_text())
    assert shown.size == (30, 40)


def test_large_photos_become_small(tmp_path):
    PIL.Image.new("RGB", (1000, 600)).save(tmp_path / "large.jpg")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xffbroken")
    answer = Answer(
        str(tmp_path / "large.jpg"),
        [Match("large.jpg", 1), Match("broken.jpg", 0)],
    )
    save_answers_page(tmp_path / "page.html", [answer], str(tmp_path))
    page = (tmp_path / "page.html").read_text()
    sides = [max(photo.size) for photo in pictures(page)]
    assert max(sides) <= THUMBNAIL_SIDE
    assert len(pictures(page)) == 2

"""What was found, as lines and as a page."""

import base64
import csv
import dataclasses
import io
import json
import re

import numpy as np
import PIL.Image
import pytest

from agem_tf import browse, duplicates, search
from agem_tf.errors import UserError
from agem_tf.library.answers import (
    PAGE_SIDE,
    Answer,
    SearchLimits,
    listed_queries,
    save_answers_page,
    search_by_examples,
    search_in_batches,
)
from agem_tf.library.photo_index import PhotoIndex
from agem_tf.library.recognition import Recognition
from agem_tf.retrieval.indexes import Match, Origin, storage_at


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


def test_a_line_break_in_a_name_or_a_label_makes_no_line():
    forged = "rome\n   1  1.0000  a.jpg"
    matches = [Match("b.jpg", 0.5, {"landmark": forged})]
    recognition = Recognition(forged, 0.5, {forged: 0.5})
    answer = Answer("query\n.jpg", matches, recognition=recognition)
    heading, line = answer.lines().split("\n")
    assert heading.startswith(r"query\n.jpg  rome\n   1")
    assert line.startswith("   1  0.5000  b.jpg  [landmark=rome")


def test_answers_are_read_by_programs(answer):
    read = json.loads(answer.to_json())
    assert read["query"] == answer.query
    assert read["matches"][1] == {
        "rank": 2,
        "name": "deep0/place1 1.jpg",
        "similarity": 0.5,
    }
    odd = Answer('a,"b".jpg', answer.matches[:1])
    (row,) = csv.reader([odd.to_csv()])
    assert row == ['a,"b".jpg', "1", "0.912340", "place0 1.jpg"]


def test_a_library_is_searched_from_python(indexed, photos):
    index = PhotoIndex.open(indexed)
    name = "deep0/place1 1.jpg"
    path = photos / name
    expected = index.search(path, top=3)
    assert expected[0].name == name
    with PIL.Image.open(path) as photo:
        pixels = np.asarray(photo.convert("RGB"))
    for query in (name, path.read_bytes(), pixels):
        found = index.search(query, top=3)
        assert [m.name for m in found] == [m.name for m in expected]
        assert found[0].similarity == pytest.approx(1, abs=1e-3)
    (row,) = index.descriptors([name])
    assert index.search(row, top=1) == index.search(name, top=1)
    assert len(index.search(name, top=99)) == len(index) == 12
    assert index.search(path, box=(10, 10, 60, 50))[0].similarity < 0.9999
    with pytest.raises(UserError, match=r"not inside the 90 x 70"):
        index.search(path, box=(10, 10, 91, 50))
    with pytest.raises(UserError, match=r"uint8 RGB or a descriptor"):
        index.search(pixels[0])


@pytest.fixture
def angles(tmp_path):
    """An index of unit vectors at angles in degrees, without a model."""
    named = {"0": 0, "copy of 0": 0, "10": 10, "40": 40, "90": 90}
    radians = np.radians(list(named.values()))
    rows = np.stack([np.cos(radians), np.sin(radians)], 1).astype(np.float32)
    storage = storage_at(str(tmp_path / "angles"))
    with storage.created() as draft:
        index = draft.start("exact", 2, Origin({"model": "m"}))
        index.add(list(named), rows)
    return storage.open()


def test_copies_and_unlike_photos_are_left_out(angles):
    index = PhotoIndex(angles)
    found = index.search("0", top=2, exclude_self=True)
    assert [match.name for match in found] == ["10", "40"]
    found = index.search("90", min_similarity=0.5)
    assert [match.name for match in found] == ["90", "40"]
    assert len(index.search("90", top=99)) == 5
    with pytest.raises(UserError, match="no model for photos"):
        index.search(np.zeros((9, 9, 3), np.uint8))


def test_more_copies_than_expected_hide_no_other_photo(tmp_path):
    storage = storage_at(str(tmp_path / "burst"))
    with storage.created() as draft:
        index = draft.start("exact", 2, Origin({"model": "m"}))
        index.add([f"burst {n}" for n in range(40)], np.eye(2)[[0] * 40])
        index.add(["other"], np.float32([[0.6, 0.8]]))
    index = PhotoIndex(storage.open())
    (match,) = index.search("burst 3", top=5, exclude_self=True)
    assert match.name == "other"


def test_examples_and_counter_examples_make_one_query(angles):
    limits = SearchLimits(top=2)
    answer = search_by_examples(angles, ["10", "40"], [], limits)
    assert [match.name for match in answer.matches] == ["0", "copy of 0"]
    assert answer.matches[0].similarity == pytest.approx(
        np.cos(np.radians(25)), abs=1e-6
    )
    answer = search_by_examples(angles, ["40"], ["0"], limits)
    assert [match.name for match in answer.matches] == ["90", "10"]
    assert answer.query == "like 40 unlike 0"


def test_an_index_without_a_model_is_not_taken_for_unreadable_photos(
    angles, tmp_path
):
    unreadable = []
    queries = ["10", str(tmp_path / "missing.jpg"), "90"]
    limits = SearchLimits(top=1)
    found = list(search_in_batches(angles, queries, limits, unreadable))
    assert [answer.query for answer in found] == ["10", "90"]
    assert [answer.matches[0].name for answer in found] == ["10", "90"]
    assert len(unreadable) == 1 and "missing.jpg" in unreadable[0]
    PIL.Image.new("RGB", (40, 40)).save(tmp_path / "photo.png")
    queries.append(str(tmp_path / "photo.png"))
    with pytest.raises(UserError, match="has no model for photos"):
        list(search_in_batches(angles, queries, limits, unreadable))


def test_a_list_is_searched_and_what_is_unreadable_reported(
    indexed, photos, tmp_path
):
    (tmp_path / "no.jpg").write_text("no photo")
    path = photos / "place0 0.png"
    (tmp_path / "list.txt").write_text(
        f"\ufeff{path}\nno.jpg\n\nplace0 1.jpg\n"
    )
    queries = listed_queries(str(tmp_path / "list.txt"))
    assert queries == [str(path), str(tmp_path / "no.jpg"), "place0 1.jpg"]
    unreadable = []
    stored = storage_at(indexed).open()
    first, second = search_in_batches(
        stored, queries, SearchLimits(top=1), unreadable
    )
    assert first.matches[0].name == "place0 0.png"
    assert second.matches[0].name == "place0 1.jpg"
    assert len(unreadable) == 1
    assert "no.jpg is not a readable photo" in unreadable[0]
    (tmp_path / "list.txt").write_text("\n")
    with pytest.raises(UserError, match="names no photo"):
        listed_queries(str(tmp_path / "list.txt"))


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


def test_the_page_says_how_sure_it_is(answer, photos, tmp_path):
    def page(answer, **settings):
        save_answers_page(
            tmp_path / "page.html", [answer], str(photos), **settings
        )
        return (tmp_path / "page.html").read_text()

    assert "The first photo is 0.412 more similar than the next." in page(
        answer
    )
    verified = dataclasses.replace(answer, inliers=[31, 4])
    assert "The first photo has 31 inliers, the next 4." in page(verified)
    reranked = dataclasses.replace(answer, matches=answer.matches[::-1])
    alone = dataclasses.replace(answer, matches=answer.matches[:1])
    for unsure in reranked, alone:
        assert "The first photo" not in page(unsure)
    assert "The first photo" not in page(answer, has_leads=False)


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
    assert max(sides) <= PAGE_SIDE
    assert len(pictures(page)) == 2


def test_the_page_shows_the_indexed_photo_of_a_name_that_is_here_too(
    tmp_path, monkeypatch
):
    for name, side in (("here", 20), ("indexed", 30)):
        (tmp_path / name).mkdir()
        PIL.Image.new("RGB", (side, side)).save(tmp_path / name / "a.png")
    monkeypatch.chdir(tmp_path / "here")
    folder = str(tmp_path / "indexed")
    save_answers_page(
        "page.html", [Answer("a.png", [Match("a.png", 1)])], folder
    )
    page = (tmp_path / "here" / "page.html").read_text()
    assert [photo.size for photo in pictures(page)] == [(20, 20), (30, 30)]
    assert f'href="file://{tmp_path}/here/a.png"' in page
    assert f'href="file://{folder}/a.png"' in page


def write_results(**given):
    search.main(search.SearchOptions(photos=("place0 0.png",), **given))


def write_map(**given):
    browse.main(browse.BrowseOptions(**given))


def write_copies(**given):
    # Any two photos are copies, so that there are some.
    duplicates.main(duplicates.DuplicatesOptions(min_similarity=-1.0, **given))


pages = pytest.mark.parametrize(
    "write_page", [write_results, write_map, write_copies]
)


@pages
def test_a_page_of_a_folder_that_is_not_there_is_refused(
    write_page, indexed, tmp_path
):
    page = tmp_path / "page.html"
    with pytest.raises(UserError, match="No folder at absent; give .*--folder"):
        write_page(index=indexed, output=str(page), folder="absent")
    assert not page.exists()


@pages
def test_a_page_without_photos_is_reported(
    write_page, own_index, photos, tmp_path, caplog
):
    other = tmp_path / "other"
    other.mkdir()
    PIL.Image.new("RGB", (20, 20)).save(other / "a.png")
    page = tmp_path / "page.html"
    given = {"index": own_index, "output": str(page)}
    write_page(**given, folder=str(photos))
    assert not caplog.messages
    write_page(**given, folder=str(other))
    (line,) = caplog.messages
    assert f"photos is in {other}" in line
    assert "--folder=DIR" in line
    assert page.exists()


def test_a_list_from_a_pipe_may_hold_names_of_any_encoding(monkeypatch):
    piped = io.TextIOWrapper(
        io.BytesIO("a\u2028b.jpg\n".encode() + b"\xe4.jpg")
    )
    monkeypatch.setattr("sys.stdin", piped)
    assert listed_queries("-") == ["a\u2028b.jpg", "\udce4.jpg"]

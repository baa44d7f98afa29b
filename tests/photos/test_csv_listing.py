"""Lists of photos from spreadsheets and other systems."""

import unicodedata

import pytest

from agem_tf.errors import UserError
from agem_tf.photos.listing import list_landmarks


@pytest.fixture
def folder(tmp_path):
    for name in ("a1.jpg", "a2.jpg", "b1.jpg", "b2.jpg"):
        (tmp_path / "p").mkdir(exist_ok=True)
        (tmp_path / "p" / name).write_bytes(b"")
    return tmp_path


def list_rows(folder, *rows, newline="\n"):
    path = folder / "list.csv"
    path.write_bytes(newline.join([*rows, ""]).encode())
    _, photos = list_landmarks(str(path))
    return list(photos)


def test_rows_of_a_spreadsheet_are_read(folder):
    rows = ("\ufeffPath,Landmark", "p/a1.jpg,A", "p/a2.jpg,A")
    photos = list_rows(folder, *rows, newline="\r\n")
    assert [photo.name for photo in photos] == ["p/a1.jpg", "p/a2.jpg"]
    assert {photo.landmark for photo in photos} == {"A"}


def test_backslashes_separate_folders(folder):
    photos = list_rows(folder, r"p\a1.jpg,A", r"p\b1.jpg,B")
    assert [photo.name for photo in photos] == ["p/a1.jpg", "p/b1.jpg"]
    assert photos[0].path == str(folder / "p" / "a1.jpg")


def test_a_backslash_may_be_part_of_a_name(folder):
    (folder / "p\\x.jpg").write_bytes(b"")
    (photo,) = list_rows(folder, r"p\x.jpg,A")
    assert photo.path == str(folder / r"p\x.jpg")


def test_empty_cells_of_a_box_mean_the_whole_photo(folder):
    photos = list_rows(folder, "p/a1.jpg,A,,,,", "p/a2.jpg,A,1,2,30,40")
    assert [photo.box for photo in photos] == [None, (1, 2, 30, 40)]
    with pytest.raises(UserError, match="list.csv:1 .*an empty cell"):
        list_rows(folder, "p/a1.jpg,A,1,,3,4")


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_the_other_unicode_form_is_found(folder, forms):
    on_disk, listed = (
        unicodedata.normalize(form, "p/Fen\u00eatre.jpg") for form in forms
    )
    (folder / on_disk).write_bytes(b"")
    (photo,) = list_rows(folder, f"{listed},A")
    assert photo.path == str(folder / on_disk)
    assert photo.name == listed


def test_foreign_headers_and_separators_are_named(folder):
    with pytest.raises(UserError, match="nor the header.*filename,label"):
        list_rows(folder, "filename,label", "p/a1.jpg,A")
    with pytest.raises(UserError, match="nor the header.*image.name,label"):
        list_rows(folder, "image.name,label", "p/a1.jpg,A")
    with pytest.raises(UserError, match="separates its cells by semicolons"):
        list_rows(folder, "p/a1.jpg;A", "p/a2.jpg;A")


@pytest.mark.parametrize(
    "box", ["nan,nan,nan,nan", "0,0,inf,9", "9,9,5,5", "1,2,1,4"]
)
def test_a_box_without_area_is_named(folder, box):
    with pytest.raises(UserError, match=r"list.csv:2 is not.*without area"):
        list_rows(folder, "p/a1.jpg,A,1,2,3,4", f"p/a2.jpg,A,{box}")


def test_a_box_of_zeros_is_the_whole_photo(folder):
    (photo,) = list_rows(folder, "p/a1.jpg,A,0,0,0,0")
    assert photo.box is None


@pytest.mark.parametrize("again", ["p/a1.jpg", "p/../p/a1.jpg", "./p//a1.jpg"])
def test_a_photo_that_is_listed_twice_is_named(folder, again):
    with pytest.raises(UserError, match="list.csv:3 names .* after line 1"):
        list_rows(folder, "p/a1.jpg,A", "p/a2.jpg,A", f"{again},B")

"""Photos that show the same, in one index or in two."""

import numpy as np
import PIL.Image
import pytest

from agem_tf import demo, duplicates
from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.errors import UserError
from agem_tf.files.rows import StackedRows
from agem_tf.library.answers import Answer
from agem_tf.library.copies import copies_between, groups_of_copies
from agem_tf.library.photo_index import PhotoIndex
from agem_tf.retrieval.indexes import Origin, storage_at

# Directions in degrees: a group that is connected by its middle, and a pair.
_DEGREES = {"c": 0, "a": 15, "e": 30, "b": 90, "f": 95, "lone": 200}


@pytest.fixture
def photos():
    angles = np.radians(list(_DEGREES.values()))
    rows = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    return DescriptorSet(list(_DEGREES), rows, {"model": "m"})


def test_similar_photos_are_grouped(photos):
    first, second = groups_of_copies(photos, np.cos(np.radians(16)))
    assert first.query == "c"
    assert [match.name for match in first.matches] == ["a", "e"]
    similarities = [match.similarity for match in first.matches]
    expected = np.cos(np.radians([15, 30]))
    np.testing.assert_allclose(similarities, expected, atol=1e-6)
    assert (second.query, second.matches[0].name) == ("b", "f")
    assert groups_of_copies(photos, 0.9999) == []


def test_what_two_sets_share_is_found(photos):
    other = DescriptorSet(
        ["x", "y"], photos.descriptors[[4, 1]], {"model": "m"}
    )
    found = copies_between(photos, other, np.cos(np.radians(7)))
    names = [(a.query, *(m.name for m in a.matches)) for a in found]
    # The first two are copies, whose order is that of rounding.
    assert sorted(names[:2]) == [("a", "y"), ("f", "x")]
    assert names[2:] == [("b", "x")]
    other.provenance = {"model": "another"}
    with pytest.raises(UserError, match="differ in model"):
        copies_between(photos, other, 0.9)


def test_the_command_lists_groups(photos, tmp_path, capsys):
    place, page = str(tmp_path / "index"), tmp_path / "page.html"
    with storage_at(place).created() as draft:
        index = draft.start("exact", 2, Origin({"model": "m"}))
        index.add(photos.names, photos.descriptors)
    duplicates.main(duplicates.DuplicatesOptions(index=place, output=str(page)))
    assert capsys.readouterr().out.splitlines() == [
        "c",
        "   1  0.9659  a",
        "   2  0.8660  e",
        "b",
        "   1  0.9962  f",
        "2 groups with 3 copies among 6 photos, from a similarity of 0.87",
        f"Page: {page}",
    ]
    shown = page.read_text()
    assert "2 photos with copies, 3 photos found." in shown
    # No photo of a group was searched by.
    assert shown.count(">first of the group<") == 2 and ">query<" not in shown


def test_a_group_may_be_large(photos):
    rows = np.repeat(photos.descriptors[:1], 120, axis=0)
    many = DescriptorSet([f"{n}" for n in range(120)], rows, {"model": "m"})
    (group,) = groups_of_copies(many, 0.99)
    assert len(group.matches) == 119
    (found,) = copies_between(
        DescriptorSet(["a"], rows[:1], {"model": "m"}), many, 0.99
    )
    assert len(found.matches) == 120


def test_photos_of_two_files_are_grouped_as_those_of_one(photos):
    rows = StackedRows([photos.descriptors[:2], photos.descriptors[2:]])
    stacked = DescriptorSet(photos.names, rows, photos.provenance)
    least = np.cos(np.radians(16))
    assert groups_of_copies(stacked, least) == groups_of_copies(photos, least)


def test_pairs_that_come_late_connect_groups(photos, monkeypatch):
    monkeypatch.setattr("agem_tf.library.copies._MOST_PAIRS", 0)
    monkeypatch.setattr("agem_tf.library.copies._BLOCK_VALUES", 6)
    first, second = groups_of_copies(photos, np.cos(np.radians(16)))
    assert [match.name for match in first.matches] == ["a", "e"]
    assert second.query == "b"


def test_copies_become_one_result_of_a_search(tmp_path):
    degrees = {"a": 0, "copy of a": 1, "another": 2, "b": 60, "c": 80}
    radians = np.radians(list(degrees.values()))
    rows = np.stack([np.cos(radians), np.sin(radians)], 1).astype(np.float32)
    with storage_at(str(tmp_path / "index")).created() as draft:
        index = draft.start("exact", 2, Origin({"model": "m"}))
        index.add(list(degrees), rows)
    index = PhotoIndex.open(tmp_path / "index")
    first, second = index.search("a", top=2, collapse=True)
    assert (first.name, first.copies) == ("a", ("copy of a", "another"))
    assert (second.name, second.copies) == ("b", ("c",))
    assert len(index.search("a", top=5, collapse=True)) == 2
    (only,) = index.search("a", collapse=True, exclude_self=True, top=1)
    assert (only.name, only.copies) == ("another", ())
    lines = Answer("a", [first]).lines()
    assert lines.endswith("a  (+ 2 copies)")


def test_the_photos_of_a_folder_are_indexed_first(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(demo, "_BUILDINGS", 3)
    monkeypatch.setattr(demo, "_VIEWS", 1)
    folder = tmp_path / "photos"
    demo.render_photos(folder)
    first = folder / "building 01" / "1.jpg"
    PIL.Image.open(first).save(folder / "again.jpg", quality=60)
    options = duplicates.DuplicatesOptions(photos=f"{folder}/")
    duplicates.main(options)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "4 added; 4 photos"
    assert lines[1] == f"Index: {folder}.index"
    group = {line.split()[-1] for line in lines[2:4]}
    assert group == {"01/1.jpg", "again.jpg"}
    assert lines[4].startswith("1 group with 1 copy among 4 photos")
    (folder / "again.jpg").unlink()
    options = duplicates.DuplicatesOptions(photos=str(folder), format="json")
    assert duplicates.main(options) == []
    assert capsys.readouterr().out == ""


def test_a_folder_or_an_index_is_needed():
    with pytest.raises(UserError, match="Give --photos=FOLDER or --index"):
        duplicates.DuplicatesOptions()

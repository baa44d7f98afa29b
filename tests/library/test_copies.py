"""Photos that show the same, in one index or in two."""

import numpy as np
import pytest

from agem_tf import duplicates
from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.errors import UserError
from agem_tf.library.copies import copies_between, groups_of_copies
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
        "2 groups with 3 copies among 6 photos",
        f"Page: {page}",
    ]
    assert "2 photos with copies, 3 photos found." in page.read_text()

"""Names of photos that are found without reading all of them."""

import zlib

import numpy as np
import pytest

from agem_tf.errors import UserError
from agem_tf.retrieval.indexes.photo_names import PhotoNames

FILES = {"names": "names.txt", "places": "places.npy"}


def reopened(names, directory):
    PhotoNames(names).save(directory, FILES)
    return PhotoNames.open(directory, FILES)


def test_rows_lead_to_names_and_names_to_rows(tmp_path):
    names = ["b/1.jpg", "a", "é 2.jpg", "not utf-8 \udcff", "a\u2028b"]
    found = reopened(names, tmp_path)
    assert len(found) == 5 and found.all() == names
    assert [found[row] for row in range(5)] == names
    assert found.rows_of([*names, "c", ""]) == {
        n: i for i, n in enumerate(names)
    }
    assert (tmp_path / "names.txt").read_bytes().count(b"\n") == 5


def test_names_of_one_checksum_are_told_apart(tmp_path):
    seen, pair = {}, None
    for number in range(300_000):
        name = f"{number**3:x}"
        other = seen.setdefault(zlib.crc32(name.encode()), name)
        if other != name:
            pair = other, name
            break
    names = ["x", pair[0], "y"]
    assert reopened(names, tmp_path).rows_of(pair) == {pair[0]: 1}
    names = ["x", pair[1], pair[0]]
    found = reopened(names, tmp_path).rows_of(pair)
    assert found == {pair[0]: 2, pair[1]: 1}


def test_many_names_are_found_as_few_are(tmp_path):
    names = [f"{number}.jpg" for number in range(30_000)]
    found = reopened(names, tmp_path)
    wanted = names[5:20_005] + ["other"]
    assert found.rows_of(wanted) == {
        n: i for i, n in enumerate(names[:20_005]) if i >= 5
    }


def test_half_a_surrogate_pair_is_no_name(tmp_path):
    assert reopened(["a"], tmp_path).rows_of(["\ud800", "a"]) == {"a": 0}


def test_places_of_other_names_are_refused(tmp_path):
    reopened(["a", "bc"], tmp_path)
    (tmp_path / "names.txt").write_bytes(b"a\nbcd\n")
    with pytest.raises(UserError, match=r"places\.npy does not fit"):
        PhotoNames.open(tmp_path, FILES)
    for places in (np.zeros((2, 0), "u8"), np.ones(7), np.ones((2, 2))):
        np.save(tmp_path / "places.npy", places)
        with pytest.raises(UserError, match=r"places\.npy does not fit"):
            PhotoNames.open(tmp_path, FILES)


def test_forged_places_find_nothing(tmp_path):
    reopened(["a", "bc"], tmp_path)
    places = np.load(tmp_path / "places.npy")
    places[1] |= 2**32 - 1
    np.save(tmp_path / "places.npy", places)
    assert PhotoNames.open(tmp_path, FILES).rows_of(["a", "bc"]) == {}
    (tmp_path / "names.txt").write_bytes(b"a\n\nc\n")
    with pytest.raises(UserError, match="holds 3 names for 2 photos"):
        PhotoNames.open(tmp_path, FILES).all()

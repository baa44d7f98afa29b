"""Filters by metadata in Milvus: they find what a directory finds."""

import numpy as np
import pytest

from agem_tf.errors import UserError
from agem_tf.library.photo_index import PhotoIndex
from agem_tf.retrieval.indexes import MilvusIndex, Origin, storage_at
from agem_tf.retrieval.indexes.metadata_filter import parse_filter

pytest.importorskip("milvus_lite")

_METADATA = [
    {"year": 2021, "place": "Old Town Hall", "tags": ["night", "snow"]},
    {"year": 1999.5, "place": "paris", "date": "2021-05-03 12:10:11"},
    {"year": "2020", "place": "PARIS Île", "own": True, "n": -5},
    {"year": -3, "zip": "0815", "own": False},
    {"place": 'it\'s "quoted" \\ odd', "date": "2020-12-31", "tags": ["a", 3]},
    {"date": "unknown", 'o\'ther "field"': 1, "straße": "Weiß", "n": 10**15},
    {"year": "", "place": "100%_sure", "n": 1e20, "tags": "snow"},
    {},
    {"year": True, "zip": 815, "place": "zoo 7"},
]
_FILTERS = [
    "year >= 2020",
    "year > 2020 or year < 0",
    "year = 2021",
    "year == 2021.0",
    'year = "2020"',
    'year >= "2000"',
    "year != 2021",
    "not year = 2021",
    "not (year >= 2020 or place ~ paris)",
    "not not place",
    "place",
    "not place",
    "place ~ paris",
    "place ~ 'TOWN H'",
    "not place ~ paris",
    "place > m",
    "place <= zoo",
    "place >= 1",
    "place = paris and year",
    "place in (paris, 'Old Town Hall', nowhere)",
    "place ~ quoted",
    "date >= 2021",
    "date >= 2020-06 and date < 2021-06-01",
    "date < 2021",
    "date > a",
    "tags = snow",
    "tags in (3, day)",
    "tags != snow",
    "tags ~ ni",
    "tags",
    "own = true",
    "own = false",
    "own != true",
    "own ~ tru",
    "own >= a",
    "zip = 0815",
    "zip = 815",
    "zip >= 1",
    "n > -6",
    "n = -5",
    "n >= 1e15",
    "n < 1e20",
    "straße = Weiß",
    "straße ~ WEISS",
    "(" * 20 + "year" + ")" * 20,
    "year in (" + ", ".join(map(str, range(1900, 2025))) + ")",
]


@pytest.fixture(
    scope="module",
    params=["exact", *(f"exact:partition={x}" for x in ("year", "tags", "n"))],
)
def place(request, tmp_path_factory):
    """An index in Milvus with metadata, in partitions or not."""
    place = f"milvus:{tmp_path_factory.mktemp('milvus')}/photos.db"
    rows = np.eye(16, dtype=np.float32)[: len(_METADATA)]
    with storage_at(place).created() as draft:
        index = draft.start(request.param, 16, Origin({"model": "a1b2"}))
        index.add([f"photo{i}.jpg" for i in range(len(rows))], rows)
        for i, fields in enumerate(_METADATA):
            draft.metadata.update(f"photo{i}.jpg", fields)
    return place


@pytest.fixture
def photos(place, monkeypatch):
    """The opened index, which may not read what is known of all photos."""
    read = MilvusIndex.photos

    def photos_of(index, names=None):
        assert names is not None
        return read(index, names)

    monkeypatch.setattr(MilvusIndex, "photos", photos_of)
    return PhotoIndex.open(place)


@pytest.mark.parametrize("where", _FILTERS)
def test_milvus_finds_the_photos_that_pass(photos, where):
    expected = {
        f"photo{i}.jpg"
        for i, fields in enumerate(_METADATA)
        if parse_filter(where).passes(fields)
    }
    passing = photos.passing(where)
    assert set(passing) == expected
    assert len(passing) == len(expected)
    found = photos.search(np.ones(16, np.float32), where=where, top=9)
    assert {match.name for match in found} == expected
    for match in found:
        number = int(match.name[5])
        assert match.metadata == _METADATA[number]
        assert match.name in passing
    assert "photo.jpg" not in passing


@pytest.mark.parametrize(
    ("where", "sentence"),
    [
        ("tags > a", "have a list of 'tags', which Milvus can't order; give ="),
        ("place ~ '100%'", r"by ~ can't contain %, _ or \\; leave .*100%"),
        ("place = 'a\nb'", "can't contain line breaks or tabs; leave them out"),
        ("yaer > 2", "no.* field 'yaer'; its fields are: date, n, o'ther"),
        ("year >", "The filter can't be read"),
    ],
)
def test_what_milvus_can_not_say_is_refused(photos, where, sentence):
    with pytest.raises(UserError, match=f"(?i){sentence}"):
        photos.search(np.ones(16, np.float32), where=where)


@pytest.mark.parametrize("factory", ["exact", "exact:partition=year"])
def test_filters_follow_changes(factory, tmp_path, names, descriptors):
    place = f"milvus:{tmp_path}/photos.db"
    storage = storage_at(place)
    with storage.created() as draft:
        index = draft.start(factory, 16, Origin({"model": "a1b2"}))
        index.add(names[:20], descriptors[:20])
        for name in names[:20]:
            draft.metadata.update(name, {"year": 2020})
    with storage.changed() as stored:
        stored.metadata.update(names[3], {"year": None, "place": "Rome"})
        stored.index.exchange([names[4]], [names[4]], descriptors[99:100])
        stored.index.rename({names[5]: "renamed.jpg"})
        stored.index.remove([names[6]])
    photos = PhotoIndex.open(place)
    assert photos.metadata_fields == ["place", "year"]
    assert photos.photo_names("place ~ rome") == [names[3]]
    passing = set(photos.photo_names("year = 2020"))
    expected = {*names[:3], names[4], "renamed.jpg", *names[7:20]}
    assert passing == expected
    with storage.changed() as stored:
        stored.metadata.update(names[3], {"place": ["Rome", "Paris"]})
    photos = PhotoIndex.open(place)
    assert photos.photo_names("place = Paris") == [names[3]]
    with pytest.raises(UserError, match="list of 'place'"):
        photos.photo_names("place > a")

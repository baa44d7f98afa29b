"""Metadata of an index: from files and EXIF, through changes, in answers."""

import json
import shutil

import PIL.Image
import pytest

from agem_tf import index, search
from agem_tf.errors import UserError
from agem_tf.library.annotating import annotate
from agem_tf.library.indexing import add_photos, index_photos, remove_photos
from agem_tf.library.metadata_files import read_metadata
from agem_tf.library.photo_index import PhotoIndex
from agem_tf.library.synchronization import sync_photos
from agem_tf.photos.exif_facts import read_exif_facts
from agem_tf.retrieval.indexes import storage_at

_CSV = """\
year,photo,landmark
2019,place0 0.png,town hall
2020,place0 1.jpg,
2021,deep0/place1 1.jpg,unknown
1900,missing.jpg,x
"""


@pytest.fixture
def dated(own_index, tmp_path):
    """An index with the metadata of a table."""
    (tmp_path / "table.csv").write_text(_CSV)
    annotate(storage_at(own_index), str(tmp_path / "table.csv"))
    return own_index


def test_a_table_filters_and_comes_back_with_answers(dated, tmp_path, capsys):
    table = str(tmp_path / "table.csv")
    index.main(index.AnnotateOptions(index=dated, metadata=table))
    printed = capsys.readouterr().out
    assert "3 photos with landmark, year" in printed
    assert "skipped 1 rows" in printed and "'missing.jpg'" in printed
    photos = PhotoIndex.open(dated)
    assert photos.metadata_fields == ["landmark", "year"]
    assert photos.photo_names("year >= 2020 and landmark != unknown") == [
        "place0 1.jpg"
    ]
    first, second = photos.search("place0 0.png", where="year<=2020", top=9)
    assert first.metadata == {"year": 2019, "landmark": "town hall"}
    assert (second.name, second.metadata) == ("place0 1.jpg", {"year": 2020})
    assert photos.search("place0 0.png", where="year=1") == []
    with pytest.raises(UserError, match="'yaer'; its fields are: landmark, y"):
        photos.search("place0 0.png", where="yaer=2019")


def test_tables_of_other_systems_name_the_same_photos(
    own_index, photos, tmp_path
):
    more, nfd = tmp_path / "more", "cafe\u0301.png"
    (more / "sub").mkdir(parents=True)
    for name in (nfd, "sub/b.png"):
        shutil.copy(photos / "place0 0.png", more / name)
    add_photos(storage_at(own_index), str(more))
    table = tmp_path / "table.csv"
    table.write_text(
        "photo,year\n"
        "deep0\\place1 1.jpg,1\n"
        "./place0 0.png,2\n"
        f"{more}/caf\u00e9.png,3\n"
        f"{more}/./sub//b.png,4\n",
        encoding="utf-8",
    )
    found = annotate(storage_at(own_index), str(table))
    assert (found.photos, found.unknown) == (4, [])
    table.write_text("photo,year\nelsewhere.png,1\n")
    found = annotate(storage_at(own_index), str(table))
    assert found.unknown == ["elsewhere.png"]


def test_answers_of_all_formats_have_metadata(dated, tmp_path, capsys):
    def lines(kind, **settings):
        capsys.readouterr()
        options = {"index": dated, "format": kind, "top": 1} | settings
        search.main(search.SearchOptions(photos=("place0 0.png",), **options))
        return capsys.readouterr().out.splitlines()

    assert lines("csv", where="year=2019") == [
        "query,rank,similarity,name,landmark,year",
        "place0 0.png,1,1.000000,place0 0.png,town hall,2019",
    ]
    (line,) = lines("json")
    assert json.loads(line)["matches"][0]["metadata"] == {
        "year": 2019,
        "landmark": "town hall",
    }
    assert lines("text")[1].endswith(
        "place0 0.png  [year=2019, landmark=town hall]"
    )
    assert "landmark: town hall" in "\n".join(lines("html"))


def test_each_long_value_is_shortened_in_a_line_of_text(
    dated, tmp_path, capsys
):
    table = tmp_path / "long.jsonl"
    fields = {"landmark": "x" * 50, "tags": ["a", "b"], "year": 2019}
    table.write_text(json.dumps({"photo": "place0 0.png"} | fields))
    annotate(storage_at(dated), str(table))
    options = {"photos": ("place0 0.png",), "index": dated, "top": 1}
    capsys.readouterr()
    search.main(search.SearchOptions(**options))
    (line,) = capsys.readouterr().out.splitlines()[1:]
    assert "xx…xx" in line and len(line) < 120
    assert "tags=a, b" in line and "year=2019" in line


def test_fields_merge_and_follow_renames_and_removals(
    run_directory, tmp_path, photos
):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.png", "b.png", "c.png"):
        photo = PIL.Image.open(photos / "place0 0.png")
        photo.resize((40 + ord(name[0]) - 90, 40)).save(folder / name)
    storage = storage_at(str(tmp_path / "index"))
    index_photos(storage, str(folder), workdir=str(run_directory))
    lines = tmp_path / "lines.jsonl"
    lines.write_text(
        '{"photo": "a.png", "year": 1, "tags": ["x", "y"]}\n\n'
        + json.dumps({"photo": str(folder / "b.png"), "year": 2})
    )
    assert annotate(storage, str(lines)).photos == 2
    lines.write_text('{"photo": "a.png", "year": null, "place": "here"}\n')
    assert annotate(storage, str(lines)).fields == ["place", "tags", "year"]
    (folder / "a.png").rename(folder / "z.png")
    sync_photos(storage)
    expected = {"tags": ["x", "y"], "place": "here"}
    assert storage.open().metadata.read()["z.png"] == expected
    assert "a.png" not in storage.open().metadata.read()
    remove_photos(storage, ["z.png"])
    stored = storage.open()
    assert stored.metadata.read() == {"b.png": {"year": 2}}
    (file,) = stored.metadata.files
    assert "here" not in (tmp_path / "index" / file).read_text()


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.csv", "file,year\na,1\n", "lacks 'photo'"),
        ("a.csv", "photo,year,year\na,1,2\n", "repeated column"),
        ("a.csv", "photo,year\na\n", "1 instead of 2 cells in line 2"),
        ("a.csv", "photo,x\na," + "y" * 20000 + "\n", "characters in 'x'"),
        ("a.jsonl", "{", "is not JSON"),
        ("a.jsonl", '{"year": 1}', "lacks 'photo'"),
        ("a.jsonl", '{"photo": 1}', "names no photo by a text"),
        ("a.jsonl", '{"photo": "a", "b": {"c": 1}}', "nested value in 'b'"),
        ("a.jsonl", '{"photo": "a", "b": NaN}', "not finite: b"),
        ("a.jsonl", "[1]", "not an object"),
        ("b/none.jsonl", None, "can't be read"),
    ],
)
def test_bad_metadata_are_one_sentence(tmp_path, name, content, sentence):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=sentence):
        list(read_metadata(str(tmp_path / name)))


def test_damaged_metadata_of_an_index_are_one_sentence(dated):
    stored = storage_at(dated).open()
    (file,) = stored.metadata.files
    path = stored.metadata._directory / file
    for content in ("{", "[]", '{"photo": "a", "fields": {"a": {}}}'):
        path.write_text(content)
        with pytest.raises(UserError, match="metadata.jsonl is damaged"):
            stored.metadata.read()


def test_exif_has_date_and_position(tmp_path):
    exif = PIL.Image.Exif()
    exif[0x0132] = "2020:01:01 00:00:00"
    exif.get_ifd(0x8769)[0x9003] = "2021:05:03 12:10:11"
    exif.get_ifd(0x8825).update(
        {1: "S", 2: (33.0, 51.0, 24.0), 3: "E", 4: (151.0, 12.0, 0.0)}
    )
    photo = PIL.Image.new("RGB", (30, 20))
    photo.save(tmp_path / "taken.jpg", exif=exif)
    assert read_exif_facts(tmp_path / "taken.jpg") == {
        "date": "2021-05-03 12:10:11",
        "latitude": -33.856667,
        "longitude": 151.2,
    }
    exif.get_ifd(0x8769)[0x9003] = "0000:00:00 00:00:00"
    exif.get_ifd(0x8825)[2] = (133.0, 51.0, 24.0)
    photo.save(tmp_path / "odd.jpg", exif=exif)
    assert read_exif_facts(tmp_path / "odd.jpg") == {
        "date": "2020-01-01 00:00:00"
    }
    photo.save(tmp_path / "plain.png")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xffExif")
    for name in ("plain.png", "broken.jpg", "missing.jpg"):
        assert read_exif_facts(tmp_path / name) == {}


def test_a_new_index_gets_metadata_of_photos_and_a_file(
    run_directory, tmp_path, capsys
):
    folder, exif = tmp_path / "photos", PIL.Image.Exif()
    folder.mkdir()
    exif[0x0132] = "2020:01:01 00:00:00"
    PIL.Image.new("RGB", (40, 30), "red").save(folder / "a.jpg", exif=exif)
    PIL.Image.new("RGB", (40, 30), "blue").save(folder / "b.jpg")
    (tmp_path / "a.csv").write_text("photo,place\nb.jpg,here\n")
    options = {
        "index": str(tmp_path / "index"),
        "photos": str(folder),
        "workdir": str(run_directory),
        "exif": True,
    }
    with pytest.raises(UserError, match=r"none\.csv cannot be read"):
        index.main(index.IndexOptions(metadata="none.csv", **options))
    assert not (tmp_path / "index").exists()
    index.main(index.IndexOptions(metadata=str(tmp_path / "a.csv"), **options))
    assert "2 photos with date, place; 1 read" in capsys.readouterr().out
    assert storage_at(options["index"]).open().metadata.read() == {
        "a.jpg": {"date": "2020-01-01 00:00:00"},
        "b.jpg": {"place": "here"},
    }

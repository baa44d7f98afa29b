"""A photo folder becomes searchable with two commands, and stays so."""

import pathlib
import signal
import subprocess
import sys

import numpy as np
import PIL.ExifTags
import PIL.Image
import pytest

import agem_tf
from agem_tf import index
from agem_tf import search as search
from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.errors import UserError
from agem_tf.library import synchronization, watching
from agem_tf.photos.listing import list_folder
from agem_tf.retrieval.indexes import storage_at

ROOT = pathlib.Path(agem_tf.__file__).parents[1]


def run(*arguments):
    result = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_two_commands_without_training(photo_folder, tmp_path):
    place, page = str(tmp_path / "index"), tmp_path / "page.html"
    lines = run(
        "agem_tf.index",
        f"--photos={photo_folder}",
        f"--index={place}",
        "--image_size=64",
    )
    assert lines == f"18 added; 18 photos\nIndex: {place}\n"
    queries = [photo_folder / "place1/1.png", photo_folder / "place4/0.jpg"]
    lines = run(
        "agem_tf.search",
        str(queries[0]),
        f"--index={place}",
        str(queries[1]),
        "--top=3",
        f"--output={page}",
    ).splitlines()
    assert lines[0] == str(queries[0])
    assert lines[1] == "   1  1.0000  place1/1.png"
    assert lines[4] == str(queries[1])
    assert lines[5] == "   1  1.0000  place4/0.jpg"
    assert lines[8] == f"Page: {page}"
    assert page.read_text().count("data:image/jpeg") == 8

    lines = run(
        "agem_tf.index",
        "--add",
        f"--photos={photo_folder}",
        f"--index={place}",
    )
    assert lines == f"18 there already; 18 photos\nIndex: {place}\n"

    change = index.main(
        index.RemoveOptions(index=place, remove=("place1/1.png",))
    )
    assert (change.removed, change.total) == (1, 17)
    (answer,) = search.main(
        search.SearchOptions(photos=[str(queries[0])], index=place, top=17)
    )
    assert "place1/1.png" not in {m.name for m in answer.matches}
    assert len(answer.matches) == 17
    (answer,) = search.main(
        search.SearchOptions(photos=[str(queries[0])], index=place, top=18)
    )
    assert len(answer.matches) == 17


def test_what_does_not_go_together_is_refused(tmp_path):
    place = str(tmp_path / "index")
    for photos, options, sentence in (
        ([], {}, "Give photos to search by, or --descriptors"),
        (["a.jpg"], {"descriptors": "d"}, "Give photos to search by, or"),
        (["a.jpg", "b.jpg"], {"box": (1, 2, 3, 4)}, "of exactly one photo"),
        (["a.jpg"], {"box": (1, 2, 3)}, "--box takes x1,y1,x2,y2"),
        ([str(tmp_path)], {"box": (1, 2, 3, 4)}, "of exactly one photo"),
        (["a.jpg"], {"folder": "photos"}, "--folder is for --output"),
        (["a.jpg"], {"like": ["b.jpg"]}, "Give photos to search by, or"),
        ([], {"unlike": ["b.jpg"]}, "Give photos to search by, or"),
        (["a.jpg"], {"unlike": ["b.jpg"]}, "--unlike needs --like"),
    ):
        with pytest.raises(UserError, match=sentence):
            search.SearchOptions(photos=photos, index=place, **options)


def test_an_addition_without_new_photos_needs_no_tensorflow(
    photo_folder, tmp_path
):
    names = list_folder(str(photo_folder))
    rows = np.eye(len(names), dtype=np.float32)
    DescriptorSet(names, rows, {}).save(tmp_path / "descriptors")
    place = str(tmp_path / "index")
    descriptors = str(tmp_path / "descriptors")
    index.main(index.IndexOptions(index=place, descriptors=descriptors))
    photos = str(photo_folder)
    script = (
        "import sys; from agem_tf import index;"
        f"index.main(index.AddOptions(index={place!r}, photos={photos!r}));"
        f"index.main(index.RemoveOptions(index={place!r}, "
        f"remove={names[:1]!r}));"
        "assert 'tensorflow' not in sys.modules"
    )
    result = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert f"{len(names)} there already" in result.stdout


def test_an_index_follows_its_folder_with_exif(
    photo_folder, tmp_path, monkeypatch
):
    place = str(tmp_path / "index")
    index.main(
        index.IndexOptions(index=place, photos=str(photo_folder), image_size=64)
    )
    dated = PIL.Image.new("RGB", (64, 64))
    exif = dated.getexif()
    exif[PIL.ExifTags.Base.DateTime] = "2021:05:06 07:08:09"
    dated.save(photo_folder / "dated.jpg", exif=exif)

    def watch_once(storage, folder, report, **settings):
        report(synchronization.sync_photos(storage, folder))

    monkeypatch.setattr(watching, "watch_photos", watch_once)
    monkeypatch.setattr(signal, "signal", lambda *arguments: None)
    index.main(index.WatchOptions(index=place, exif=True))
    metadata = storage_at(place).open().metadata.read()
    assert metadata.keys() == {"dated.jpg"}

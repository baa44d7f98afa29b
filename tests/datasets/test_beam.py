"""Apache Beam writes what one process writes."""

import sys

import pytest

from agem_tf.datasets import shards
from agem_tf.datasets.photo_folder import PhotoFolder
from agem_tf.datasets.preparation import prepare
from agem_tf.errors import UserError

LOCAL = "--runner=DirectRunner"


@pytest.fixture
def prepare_folder(photo_folder, monkeypatch):
    """Returns what prepares the folder in files of four photos."""
    monkeypatch.setattr(PhotoFolder, "items_per_file", 4)

    def run(directory, **arguments):
        options = {"source": str(photo_folder), "validation": 0.0, "test": 0.0}
        return prepare("photo_folder", directory, options, **arguments)

    return run


def test_a_pipeline_writes_the_same(prepare_folder, tmp_path):
    pytest.importorskip("apache_beam")
    alone = prepare_folder(tmp_path / "alone")
    prepared = prepare_folder(tmp_path / "beam", runner=shards.on_beam(LOCAL))
    assert len(prepared.manifest["record_files"]) == 5
    assert prepared.manifest["files"] == alone.manifest["files"]


def test_a_bad_photo_is_one_sentence(prepare_folder, photo_folder, tmp_path):
    pytest.importorskip("apache_beam")
    bad = photo_folder / "place3" / "bad.jpg"
    bad.write_bytes(b"not a photo")
    with pytest.raises(UserError) as raised:
        prepare_folder(tmp_path / "data", runner=shards.on_beam(LOCAL))
    assert str(raised.value).startswith(f"{bad} is not a readable photo")
    bad.unlink()
    prepared = prepare_folder(tmp_path / "data", runner=shards.on_beam(LOCAL))
    assert len(prepared.split("train")) == 18


def test_beam_is_optional(monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(UserError, match=r"pip install apache-beam"):
        shards.on_beam(LOCAL)

"""Index directories: complete, checked for damage, changed atomically."""

import json
import pathlib
import resource
import signal
import subprocess
import sys

import numpy as np
import pytest

import agem_tf
from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.descriptors.linear_whitening import LinearWhitening
from agem_tf.errors import UserError, sentence_of
from agem_tf.retrieval.indexes import Origin, storage_at

# Adds a photo, and is killed while writing the new files.
_KILLED_ADDER = """
import os, signal, sys
import numpy as np
from agem_tf.retrieval import indexes
from agem_tf.retrieval.indexes import exact_index

def killed(path, blocks, *rest):
    path.write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)

exact_index.write_rows = killed
with indexes.storage_at(sys.argv[1]).changed() as stored:
    stored.index.add(["new"], np.ones((1, 16), np.float32))
"""


def alter(path: pathlib.Path) -> None:
    """Flips one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("factory", "file"),
    [
        ("exact", "descriptors.npy"),
        ("exact", "names.txt"),
        ("HNSW16", "vectors.faiss"),
        ("HNSW16", "ids.npy"),
    ],
)
def test_an_altered_or_truncated_file_is_refused(make, tmp_path, factory, file):
    storage = make(factory)
    path = tmp_path / "index" / file
    alter(path)
    with pytest.raises(UserError, match=f"{file} differs from its checksum"):
        storage.open()
    alter(path)
    storage.open()
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UserError, match=f"{file} has .* bytes instead"):
        storage.open()
    with pytest.raises(UserError, match=file), storage.changed():
        pytest.fail("a damaged index must not be changed")


def test_a_damaged_manifest_is_refused(make, tmp_path):
    storage = make("exact")
    path = tmp_path / "index" / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["dimension"], manifest["checksum"]
    path.write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="has no 'dimension'; index the photos"):
        storage.open()


@pytest.mark.parametrize(
    "entry",
    [
        *(
            {"unreadable": {"a.jpg": noted}}
            for noted in ([], "text", ["reason", 1], [1, 2, 3])
        ),
        {"lines": 3},
        {"lines": {"states": "many"}},
    ],
)
def test_a_manifest_with_entries_of_other_types_is_refused(
    make, tmp_path, entry
):
    storage = make("exact")
    path = tmp_path / "index" / "manifest.json"
    manifest = json.loads(path.read_text()) | {"checksum": None}
    path.write_text(json.dumps(manifest | entry))
    with pytest.raises(UserError, match="is damaged; index the photos again"):
        storage.open()


@pytest.mark.parametrize("factory", ["exact", "HNSW16"])
def test_a_manifest_of_another_dimension_is_refused(make, tmp_path, factory):
    storage = make(factory)
    path = tmp_path / "index" / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest | {"dimension": 18, "checksum": None}))
    with pytest.raises(UserError, match="index the photos again"):
        storage.open()


def test_a_missing_index_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        storage_at(str(tmp_path / "missing")).open()


def test_a_failed_change_changes_nothing(make, names, descriptors, tmp_path):
    storage = make("exact")
    with pytest.raises(RuntimeError), storage.changed() as stored:
        stored.index.remove(names[:10])
        raise RuntimeError
    assert len(storage.open().index) == 300
    assert [path.name for path in tmp_path.iterdir()] == ["index"]


def test_a_killed_change_changes_nothing(make, tmp_path, descriptors):
    storage = make("exact")
    command = [sys.executable, "-c", _KILLED_ADDER, str(tmp_path / "index")]
    root = pathlib.Path(agem_tf.__file__).parents[1]
    killed = subprocess.run(command, cwd=root)
    assert killed.returncode == -signal.SIGKILL
    assert len(storage.open().index) == 300
    with storage.changed() as stored:
        stored.index.add(["new"], descriptors[:1])
    assert len(storage.open().index) == 301
    assert [path.name for path in tmp_path.iterdir()] == ["index"]


def test_what_a_killed_change_left_does_not_hinder_a_new_index(make, tmp_path):
    make("exact")
    left = tmp_path / "index" / "segments" / "1a2b" / "descriptors.npy"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    assert len(make("exact", count=9).open().index) == 9
    assert not left.exists()


def test_a_second_change_at_the_same_time_is_refused(make, names):
    storage = make("exact")
    with storage.changed() as stored:
        stored.index.remove(names[:1])
        with (
            pytest.raises(UserError, match="Another process is changing"),
            storage.changed(),
        ):
            pytest.fail("the first change would be lost")
    assert len(storage.open().index) == 299


def test_a_second_new_index_at_the_same_time_is_refused(
    names, descriptors, tmp_path
):
    first, second, late = (
        storage_at(str(tmp_path / "index")) for _ in range(3)
    )
    with first.created() as draft:
        index = draft.start("exact", 16, Origin({}, "photos"))
        index.add(names, descriptors)
        with (
            pytest.raises(UserError, match="Another process is writing"),
            second.created(),
        ):
            pytest.fail("one of them would be lost")
    with (
        pytest.raises(UserError, match="has made an index .* meanwhile"),
        late.created(),
    ):
        pytest.fail("the first would be lost")
    assert len(first.open().index) == len(names)
    assert [path.name for path in tmp_path.iterdir()] == ["index"]


def test_model_and_whitening_survive_a_change(tmp_path, names, descriptors):
    whitening = LinearWhitening(
        np.zeros(16), np.eye(16), "pca", {"model": "a1b2"}
    )
    storage = storage_at(str(tmp_path / "index"))
    origin = Origin({"model": "a1b2"}, "/photos", whitening=whitening)
    with storage.created() as draft:
        draft.model.mkdir()
        (draft.model / "saved_model.pb").write_bytes(b"network")
        draft.start("exact", 16, origin).add(names, descriptors)
    for name in names[:2]:
        with storage.changed() as stored:
            stored.index.remove([name])
    origin = storage.open().origin
    assert (origin.model / "saved_model.pb").read_bytes() == b"network"
    assert origin.whitening.fingerprint == whitening.fingerprint
    assert origin.photos == "/photos"
    assert not (tmp_path / "index" / "scratch").exists()


def test_a_directory_with_other_files_is_not_replaced(tmp_path):
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "diary.txt").write_text("precious")
    with (
        pytest.raises(UserError, match=r"diary\.txt"),
        storage_at(str(tmp_path / "index")).created(),
    ):
        pytest.fail("the block must not run")


def test_descriptors_are_not_replaced_by_an_index(
    make, names, descriptors, tmp_path
):
    place = str(tmp_path / "descriptors")
    DescriptorSet(names, descriptors, {}).save(place)
    with pytest.raises(UserError, match="holds descriptors.*another directory"):
        make("exact", place)
    assert len(DescriptorSet.load(place).names) == 300


@pytest.mark.parametrize("factory", ["exact", "HNSW16"])
def test_a_full_disk_is_one_sentence_and_the_index_stays(
    make, tmp_path, factory
):
    storage = make(factory)
    before = len(storage.open().index)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises((OSError, RuntimeError)) as error:
            with storage.changed() as stored:
                rows = np.random.default_rng(0).normal(size=(2000, 16))
                rows /= np.linalg.norm(rows, axis=1, keepdims=True)
                names = [f"new {row}" for row in range(len(rows))]
                stored.index.add(names, rows.astype(np.float32))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    sentence = sentence_of(error.value, str(tmp_path / "index"))
    assert "index can't be written" in sentence
    assert len(storage.open().index) == before

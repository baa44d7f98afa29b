"""Directories in an object store are written whole, and mirrored."""

import os

import numpy as np
import pytest
from etils import epath

from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.descriptors.linear_whitening import LinearWhitening
from agem_tf.errors import UserError
from agem_tf.files import manifest
from agem_tf.files.atomic_writing import (
    atomic_directory,
    atomic_file,
    resumable_directory,
)
from agem_tf.files.locations import as_location
from agem_tf.files.remote_directories import RemoteMirror, fetched

pytest.importorskip("tensorflow")

PLACE = "gs://bucket/folder"


@pytest.fixture(autouse=True)
def store(object_store):
    """All tests have a bucket."""


def write(files, kind="things"):
    with atomic_directory(PLACE, kind) as local:
        for name, text in files.items():
            (local / name).parent.mkdir(exist_ok=True)
            (local / name).write_text(text)
        manifest.write_manifest(local, kind)


def test_a_directory_is_replaced_as_a_whole():
    write({"a": "1", "in/b": "2"})
    write({"a": "3", "in/c": "4"})
    place = epath.Path(PLACE)
    assert manifest.files_in(place) == ["a", "in/c"]
    assert (place / "a").read_text() == "3"
    facts = manifest.read_manifest(PLACE, "things", verify=True)
    assert list(facts["files"]) == ["a", "in/c"]


def test_files_of_a_person_are_not_replaced():
    with atomic_file(f"{PLACE}/mine.jpg") as local:
        local.write_text("photo")
    with pytest.raises(UserError, match="holds mine.jpg, which agem_tf did"):
        write({"a": "1"})
    with pytest.raises(UserError, match="holds no|has no manifest.json"):
        manifest.read_manifest(PLACE, "things")


def test_another_kind_is_not_replaced():
    write({"a": "1"})
    with pytest.raises(UserError, match="holds things and is not replaced"):
        write({"a": "2"}, kind="others")


def test_an_upload_that_dies_leaves_nothing_that_is_read(monkeypatch):
    write({"a": "1", "b": "1"})
    copy = type(epath.Path(PLACE)).copy

    def die(self, target, overwrite=False):
        if self.name == "b":
            raise KeyboardInterrupt
        return copy(self, target, overwrite)

    with monkeypatch.context() as patch:
        patch.setattr(type(epath.Path(PLACE)), "copy", die)
        with pytest.raises(KeyboardInterrupt):
            write({"a": "2", "b": "2"})
    with pytest.raises(UserError, match="holds unfinished things"):
        manifest.read_manifest(PLACE, "things")
    write({"a": "3", "b": "3"})
    assert (epath.Path(PLACE) / "b").read_text() == "3"


def test_a_failed_block_leaves_the_old_directory():
    write({"a": "1"})
    with pytest.raises(ValueError), atomic_directory(PLACE):
        raise ValueError
    assert manifest.read_manifest(PLACE, "things", verify=True)


def test_descriptors_and_whitenings_are_written_and_read():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(5, 3)).astype(np.float32)
    DescriptorSet(list("abcde"), rows, {"model": "m"}).save(PLACE)
    loaded = DescriptorSet.load(PLACE, verify=True)
    np.testing.assert_array_equal(loaded.descriptors, rows)
    whitening = LinearWhitening(np.zeros(3), np.eye(3), "pca", {})
    whitening.save("gs://bucket/whitening")
    again = LinearWhitening.load("gs://bucket/whitening")
    assert again.fingerprint == whitening.fingerprint


def test_unfinished_work_of_a_remote_directory_is_not_kept():
    for _ in range(2):
        with (
            pytest.raises(ValueError),
            resumable_directory(PLACE, {"a": 1}) as unfinished,
        ):
            assert unfinished.done == 0
            unfinished.note(3)
            raise ValueError
    assert not epath.Path(PLACE).exists()


def test_a_mirror_uploads_in_the_order_of_writing(tmp_path, monkeypatch):
    write({"old": "1", "kept": "1"})
    mirror = RemoteMirror(PLACE, tmp_path / "copy")
    assert (tmp_path / "copy" / "kept").read_text() == "1"
    uploaded = []
    copy = type(epath.Path(PLACE)).copy

    def noting(self, target, overwrite=False):
        uploaded.append(self.name)
        return copy(self, target, overwrite)

    monkeypatch.setattr(type(epath.Path(PLACE)), "copy", noting)
    for time, name in enumerate(("z", "a", "x", ".hidden")):
        path = tmp_path / "copy" / name
        path.write_text(name)
        os.utime(path, ns=(time + 1, time + 1))
    (tmp_path / "copy" / "old").unlink()
    mirror.push()
    assert uploaded == ["z", "a", "x"]
    mirror.push()
    assert len(uploaded) == 3
    with fetched(PLACE) as local:
        names = {path.name for path in local.iterdir()}
    assert names == {"z", "a", "x", "kept", "manifest.json"}


@pytest.mark.parametrize("place", ["gs://bucket", "gs://bucket/"])
def test_a_whole_bucket_is_refused(place):
    with pytest.raises(UserError, match="is a bucket; give --data_dir as a"):
        as_location(place, "--data_dir")


def test_an_unknown_file_system_is_refused():
    with pytest.raises(UserError, match="ftp://host/x is on a file system"):
        as_location("ftp://host/x", "--data_dir")


def test_objects_with_names_that_leave_the_directory_are_refused():
    write({"a": "1"})
    (epath.Path(PLACE) / "..").mkdir(exist_ok=True)
    (epath.Path(PLACE) / ".." / "outside").write_text("of a stranger")
    with (
        pytest.raises(UserError, match=r"'\.\./outside', outside of"),
        fetched(PLACE),
    ):
        pass


@pytest.mark.parametrize("uploads", [1, 2, 3])
def test_an_interrupted_push_leaves_no_half_directory(
    uploads, tmp_path, monkeypatch
):
    """The next machine writes that directory again, as after a local kill."""

    def save(mirror_copy, rows):
        with atomic_directory(mirror_copy / "things") as folder:
            for name, text in rows.items():
                (folder / name).write_text(text)
            manifest.write_manifest(folder, "things")

    first = tmp_path / "first"
    mirror = RemoteMirror(PLACE, first)
    save(first, {"a": "1", "b": "1", "old": "1"})
    (first / "checkpoint").write_text("1")
    mirror.push()
    save(first, {"a": "2", "b": "2", "c": "2"})
    copy, left = type(epath.Path(PLACE)).copy, [uploads]

    def die(self, target, overwrite=False):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return copy(self, target, overwrite)

    with monkeypatch.context() as patch:
        patch.setattr(type(epath.Path(PLACE)), "copy", die)
        with pytest.raises(KeyboardInterrupt):
            mirror.push()
    second = tmp_path / "second"
    mirror = RemoteMirror(PLACE, second)
    assert (second / "checkpoint").read_text() == "1"
    assert not (second / "things").exists()
    save(second, {"a": "3"})
    mirror.push()
    third = tmp_path / "third"
    RemoteMirror(PLACE, third)
    manifest.read_manifest(third / "things", "things", verify=True)
    save(third, {"a": "4"})
    assert (third / "things" / "a").read_text() == "4"

"""Shards are the same in every process, and are written once."""

import errno
import multiprocessing
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from etils import epath

from agem_tf.datasets import shards
from agem_tf.datasets.photo_folder import PhotoFolder
from agem_tf.datasets.preparation import prepare
from agem_tf.datasets.prepared import PreparedDataset
from agem_tf.distribution import engines
from agem_tf.errors import UserError
from agem_tf.pages.photo_sources import load_photo

# Prepares one split in files of four photos, and is killed after the first.
_KILLED = """
import os, signal, sys
from agem_tf.datasets.photo_folder import PhotoFolder
from agem_tf.datasets.preparation import prepare
from agem_tf.distribution.engines import in_processes

def engine(task, paths):
    yield next(in_processes(2)(task, paths))
    os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    PhotoFolder.items_per_file = 4
    options = {"source": sys.argv[1], "validation": 0.0, "test": 0.0}
    prepare("photo_folder", sys.argv[2], options, engine=engine)
"""


@pytest.fixture(autouse=True)
def few_photos_a_file(monkeypatch):
    """The 18 photos of the folder fill five files."""
    monkeypatch.setattr(PhotoFolder, "items_per_file", 4)


@pytest.fixture
def prepare_folder(photo_folder):
    """Returns what prepares the folder as one split."""

    def run(directory, **arguments):
        options = arguments.pop("options", {})
        source = {"source": str(photo_folder)}
        splits = {"validation": 0.0, "test": 0.0}
        return prepare(
            "photo_folder", directory, source | splits | options, **arguments
        )

    return run


def stop_after(number):
    """An engine that is interrupted when some files are written."""

    def run(task, paths):
        for path in paths[:number]:
            task(path)
            yield path
        raise KeyboardInterrupt

    return run


def parts_of(directory):
    return directory.parent / f".{directory.name}.parts"


def test_a_split_fills_several_files_in_order(prepare_folder, tmp_path):
    prepared = prepare_folder(tmp_path / "data")
    split = prepared.split("train")
    assert len(prepared.manifest["record_files"]) == 5
    assert len(split) == 18
    assert split.files.tolist() == sorted(split.files)
    assert len(set(split.files)) == 5
    # Each record is where the index says.
    sizes = {load_photo(split, photo).size for photo in range(18)}
    assert sizes == {(48, 36), (30, 20)}


def test_a_million_photos_fill_no_more_files_than_may_be_open(
    prepare_folder, tmp_path, monkeypatch
):
    monkeypatch.setattr(shards, "MOST_FILES", 3)
    prepared = prepare_folder(tmp_path / "data")
    assert len(prepared.manifest["record_files"]) == 3
    assert len(prepared.split("train")) == 18


def test_several_processes_write_the_same(prepare_folder, tmp_path):
    alone = prepare_folder(tmp_path / "alone")
    engine = engines.in_processes(2)
    together = prepare_folder(tmp_path / "together", engine=engine)
    assert together.manifest["files"] == alone.manifest["files"]


def test_a_bad_photo_stops_several_processes(
    prepare_folder, photo_folder, tmp_path
):
    (photo_folder / "place3" / "bad.jpg").write_bytes(b"not a photo")
    engine = engines.in_processes(2)
    with pytest.raises(UserError, match=r"place3/bad\.jpg"):
        prepare_folder(tmp_path / "data", engine=engine)
    assert not (tmp_path / "data").exists()
    prepared = prepare_folder(tmp_path / "data", options={"skip_bad": True})
    (skipped,) = prepared.manifest["skipped"]
    assert skipped["photo"] == "place3/bad.jpg"


def test_a_killed_process_is_reported(prepare_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(PhotoFolder, "items_per_file", 1)

    def engine(task, paths):
        running = engines.in_processes(2)(task, list(paths) * 20)
        yield next(running)
        for child in multiprocessing.active_children():
            child.kill()
        yield from running

    with pytest.raises(UserError, match="process died.* fewer --processes"):
        prepare_folder(tmp_path / "data", engine=engine)


def test_an_interrupted_preparation_resumes(prepare_folder, tmp_path):
    data = tmp_path / "data"
    with pytest.raises(KeyboardInterrupt):
        prepare_folder(data, engine=stop_after(2))
    assert not data.exists()
    finished = sorted(parts_of(data).glob("*.tfrecord"))
    assert len(finished) == 2
    before = [path.stat().st_ino for path in finished]
    litter = parts_of(data) / "train-00003-of-00005.0123abcd.tmp"
    litter.write_bytes(b"part of a shard")

    written = []

    def engine(task, paths):
        assert not litter.exists()
        written.extend(paths)
        return engines.in_process(task, paths)

    prepared = prepare_folder(data, engine=engine)
    assert len(written) == 3
    records = [data / name for name in prepared.manifest["record_files"]]
    assert [path.stat().st_ino for path in records[:2]] == before
    assert [
        path.name for path in tmp_path.iterdir() if "data" in path.name
    ] == ["data"]
    whole = prepare_folder(tmp_path / "whole")
    assert whole.manifest["files"] == prepared.manifest["files"]


def test_a_killed_preparation_resumes(prepare_folder, photo_folder, tmp_path):
    data, script = tmp_path / "data", tmp_path / "killed.py"
    script.write_text(_KILLED)
    # Returns when the pipes are closed: the pool has ended too.
    killed = subprocess.run(
        [sys.executable, script, str(photo_folder), str(data)],
        capture_output=True,
        timeout=300,
    )
    assert killed.returncode == -signal.SIGKILL
    finished = {
        path.with_suffix(".tfrecord").stat().st_ino
        for path in parts_of(data).glob("*.npz")
    }
    assert finished
    prepared = prepare_folder(data)
    records = [data / name for name in prepared.manifest["record_files"]]
    assert finished <= {path.stat().st_ino for path in records}
    assert not parts_of(data).exists()


def test_other_photos_are_not_mixed_with_finished_ones(
    prepare_folder, photo_folder, tmp_path
):
    data = tmp_path / "data"
    with pytest.raises(KeyboardInterrupt):
        prepare_folder(data, engine=stop_after(4))
    for photo in (photo_folder / "place0").iterdir():
        photo.unlink()
    (photo_folder / "place0").rmdir()
    prepared = prepare_folder(data)
    assert len(prepared.split("train")) == 15
    again = prepare_folder(tmp_path / "again")
    assert again.manifest["files"] == prepared.manifest["files"]


def test_an_interrupted_overwrite_resumes(prepare_folder, tmp_path):
    data = tmp_path / "data"
    prepare_folder(data)
    with pytest.raises(KeyboardInterrupt):
        prepare_folder(data, overwrite=True, engine=stop_after(2))
    written = []

    def engine(task, paths):
        written.extend(paths)
        return engines.in_process(task, paths)

    prepare_folder(data, overwrite=True, engine=engine)
    assert len(written) == 3
    prepare_folder(data, overwrite=True, engine=engine)
    assert len(written) == 3 + 5
    assert not parts_of(data).exists()


def test_overwrite_starts_again(prepare_folder, tmp_path):
    data = tmp_path / "data"
    with pytest.raises(KeyboardInterrupt):
        prepare_folder(data, engine=stop_after(3))

    def engine(task, paths):
        assert len(paths) == 5
        return engines.in_process(task, paths)

    prepare_folder(data, engine=engine, overwrite=True)


def test_a_failure_with_nothing_finished_leaves_nothing(
    prepare_folder, tmp_path
):
    with pytest.raises(KeyboardInterrupt):
        prepare_folder(tmp_path / "data", engine=stop_after(0))
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_two_preparations_of_one_dataset_are_refused(prepare_folder, tmp_path):
    def engine(task, paths):
        with pytest.raises(UserError, match="Another process is writing"):
            prepare_folder(tmp_path / "data")
        return engines.in_process(task, paths)

    assert len(prepare_folder(tmp_path / "data", engine=engine).splits) == 1


def test_unfinished_shards_may_be_remote(prepare_folder, tmp_path, bucket):
    here = prepare_folder(tmp_path / "here")
    there = prepare_folder(tmp_path / "there", parts_dir="gs://shards/parts")
    assert there.manifest["files"] == here.manifest["files"]
    assert not any(bucket.rglob("*.tfrecord"))


def test_data_sets_of_one_name_share_a_directory_of_parts(
    prepare_folder, tmp_path
):
    parts, seen = tmp_path / "parts", []

    def engine(task, paths):
        seen.append({os.path.dirname(path) for path in paths})
        if len(seen) == 1:
            # Another data set, while the first one is not finished.
            other = tmp_path / "other" / "data"
            other.parent.mkdir()
            prepare_folder(
                other,
                options={"test": 0.5},
                parts_dir=str(parts),
                engine=engine,
            )
        return engines.in_process(task, paths)

    prepare_folder(tmp_path / "data", parts_dir=str(parts), engine=engine)
    first, second = seen
    assert len(first) == len(second) == 1 and first != second


def test_a_long_name_does_not_widen_the_others(prepare_folder, tmp_path):
    prepared = prepare_folder(tmp_path / "data")
    (index,) = (prepared.directory / "index").glob("*.npz")
    with np.load(index) as arrays:
        assert arrays["names"].dtype == np.uint8
    names = prepared.split(index.stem).names
    assert len(set(names)) == 18 and "\n" not in "".join(names)


def test_a_dataset_may_be_remote(prepare_folder, tmp_path, object_store):
    here = prepare_folder(tmp_path / "here")
    there = prepare_folder("gs://bucket/data")
    assert there.manifest["files"] == here.manifest["files"]
    there.verify()
    split, local = there.split("train"), here.split("train")
    assert split.names == local.names
    for photo in range(len(split)):
        assert split.read(photo) == local.read(photo)
    assert not split.find_damaged().any()
    assert not epath.Path("gs://bucket/.data.parts").exists()


def test_a_remote_dataset_is_prepared_once(prepare_folder, object_store):
    def fail(paths):
        raise AssertionError("nothing is left to write")

    prepare_folder("gs://bucket/data")
    prepare_folder("gs://bucket/data", engine=fail)
    prepare_folder("gs://bucket/data", overwrite=True)
    assert PreparedDataset("gs://bucket/data").splits == ["train"]


def test_a_killed_remote_preparation_resumes(
    prepare_folder, tmp_path, object_store
):
    with pytest.raises(KeyboardInterrupt):
        prepare_folder("gs://bucket/data", engine=stop_after(2))
    written = []

    def engine(task, paths):
        written.extend(paths)
        return engines.in_process(task, paths)

    there = prepare_folder("gs://bucket/data", engine=engine)
    here = prepare_folder(tmp_path / "here")
    assert len(written) == 5 - 2
    assert there.manifest["files"] == here.manifest["files"]


def test_a_missing_remote_dataset_is_named(object_store):
    with pytest.raises(UserError, match="gs://bucket/none does not exist"):
        PreparedDataset("gs://bucket/none")
    with pytest.raises(UserError, match="gs://bucket is a bucket"):
        PreparedDataset("gs://bucket")


def test_an_old_error_is_not_reported_again(
    prepare_folder, photo_folder, tmp_path
):
    """A cluster notes all bad photos, of which one is reported."""
    bad = [photo_folder / f"place{i}" / "bad.jpg" for i in range(6)]
    for path in bad:
        path.write_bytes(b"not a photo")

    def engine(task, paths):
        for path in paths:
            engines.write_or_note(task, path)
        engines.raise_noted(paths)
        yield from paths

    with pytest.raises(UserError, match="is not a readable photo"):
        prepare_folder(tmp_path / "data", engine=engine)
    for path in bad:
        path.write_bytes((photo_folder / "place0" / "0.jpg").read_bytes())
    prepared = prepare_folder(tmp_path / "data", engine=engine)
    assert len(prepared.split("train")) == 24


def test_a_full_disk_names_the_shard(prepare_folder, tmp_path, monkeypatch):
    def fail(source, target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space left .*00000-of-00005"):
        prepare_folder(tmp_path / "data")


def test_two_photos_of_one_name_are_refused(
    prepare_folder, tmp_path, monkeypatch
):
    listing = PhotoFolder.listing
    monkeypatch.setattr(
        PhotoFolder,
        "listing",
        lambda self: {s: [*of] * 2 for s, of in listing(self).items()},
    )
    with pytest.raises(UserError, match="train has two photos named 'place"):
        prepare_folder(tmp_path / "data")

"""Atomic files and directories."""

import os
import pathlib
import signal
import subprocess
import sys

import pytest

import agem_tf
from agem_tf.errors import UserError
from agem_tf.files import atomic_writing
from agem_tf.files.atomic_writing import atomic_directory, atomic_file
from agem_tf.files.manifest import write_manifest

# Replaces "new" by a half-written directory and is killed in the middle.
_KILLED_WRITER = """
import os, signal, sys
from agem_tf.files.atomic_writing import atomic_directory
with atomic_directory(sys.argv[1]) as temporary:
    (temporary / "half").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def _write_artifact(path, text):
    with atomic_directory(path) as temporary:
        (temporary / "data").mkdir()
        (temporary / "data" / "text").write_text(text)
        write_manifest(temporary, "example")


def _entries(directory):
    return sorted(path.name for path in directory.iterdir())


def test_a_file_appears_under_its_name_with_its_parents(tmp_path):
    target = tmp_path / "new" / "scores.json"
    with atomic_file(target) as temporary:
        temporary.write_text("{}")
        assert temporary.name == target.name
        assert not target.exists()
    assert target.read_text() == "{}"
    assert _entries(target.parent) == ["scores.json"]


def test_a_failed_write_keeps_the_old_file(tmp_path):
    target = tmp_path / "scores.json"
    target.write_text("old")
    with pytest.raises(RuntimeError), atomic_file(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert _entries(tmp_path) == ["scores.json"]


def test_a_directory_is_replaced_as_a_whole(tmp_path):
    target = tmp_path / "artifact"
    _write_artifact(target, "old")
    _write_artifact(target, "new")
    assert (target / "data" / "text").read_text() == "new"
    assert _entries(tmp_path) == ["artifact"]


def test_a_failed_write_keeps_the_old_directory(tmp_path):
    target = tmp_path / "artifact"
    _write_artifact(target, "old")
    with pytest.raises(RuntimeError), atomic_directory(target) as temporary:
        (temporary / "half").write_text("half")
        raise RuntimeError
    assert (target / "data" / "text").read_text() == "old"
    assert _entries(tmp_path) == ["artifact"]


def test_the_files_of_a_user_are_not_replaced(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "holiday.jpg").write_text("precious")
    with (
        pytest.raises(UserError, match=r"holiday\.jpg"),
        atomic_directory(photos),
    ):
        pytest.fail("the block must not run")
    assert (photos / "holiday.jpg").read_text() == "precious"


def test_a_file_added_to_an_artifact_is_not_replaced(tmp_path):
    target = tmp_path / "artifact"
    _write_artifact(target, "old")
    (target / "data" / "notes").write_text("mine")
    with pytest.raises(UserError, match="data/notes"):
        _write_artifact(target, "new")


def test_leftovers_of_a_killed_run_are_cleaned_by_the_next(tmp_path):
    target = tmp_path / "artifact"
    command = [sys.executable, "-c", _KILLED_WRITER, str(target)]
    root = pathlib.Path(agem_tf.__file__).parents[1]
    killed = subprocess.run(command, check=False, cwd=root)
    assert killed.returncode == -signal.SIGKILL
    assert not target.exists()
    assert len(_entries(tmp_path)) == 1
    _write_artifact(target, "new")
    assert _entries(tmp_path) == ["artifact"]


def test_work_in_progress_is_no_leftover(tmp_path):
    target = tmp_path / "artifact"
    with atomic_directory(target) as slow:
        (slow / "text").write_text("slow")
        _write_artifact(target, "fast")
        write_manifest(slow, "example")
    assert (target / "text").read_text() == "slow"


def test_a_run_killed_between_two_renames_loses_nothing(tmp_path):
    target = tmp_path / "artifact"
    _write_artifact(target, "old")
    leftover = tmp_path / ".artifact.abcdefgh.tmp"
    leftover.mkdir()
    os.replace(target, leftover / "replaced")
    with pytest.raises(RuntimeError), atomic_directory(target):
        raise RuntimeError
    assert (target / "data" / "text").read_text() == "old"


def test_leftovers_of_a_similar_name_are_kept(tmp_path):
    other = tmp_path / ".artifact.b.abcdefgh.tmp"
    other.mkdir()
    _write_artifact(tmp_path / "artifact", "new")
    assert other.is_dir()


def test_a_parent_that_is_a_file_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UserError, match="cannot be written"),
        atomic_file(tmp_path / "file" / "scores.json"),
    ):
        pytest.fail("the block must not run")


def test_a_directory_is_replaced_in_one_step(tmp_path, monkeypatch):
    target = tmp_path / "artifact"
    _write_artifact(target, "old")
    (tmp_path / "other").mkdir()
    if not atomic_writing._swap(tmp_path / "other", tmp_path / "other"):
        pytest.skip("This system cannot exchange two directories.")

    def stand_still(*paths):
        raise KeyboardInterrupt(paths)

    # Two renames would leave a moment without either directory.
    monkeypatch.setattr(os, "replace", stand_still)
    _write_artifact(target, "new")
    assert (target / "data" / "text").read_text() == "new"

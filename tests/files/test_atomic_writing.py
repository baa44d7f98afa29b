"""Atomic files and directories."""

import concurrent.futures
import errno
import os
import pathlib
import shutil
import signal
import subprocess
import sys

import pytest

import agem_tf
from agem_tf.errors import UserError
from agem_tf.files import atomic_writing
from agem_tf.files.atomic_writing import (
    atomic_directory,
    atomic_file,
    check_writable,
    resumable_directory,
)
from agem_tf.files.manifest import read_manifest, write_manifest

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


def test_a_pipe_in_the_place_of_a_file_stays(tmp_path):
    os.mkfifo(tmp_path / "page.html")
    with pytest.raises(UserError, match=r"page\.html is a pipe, a socket or"):
        with atomic_file(tmp_path / "page.html"):
            pytest.fail("the work began")
    assert (tmp_path / "page.html").is_fifo()


@pytest.mark.parametrize("write", [atomic_file, atomic_directory])
def test_a_link_that_leads_to_itself_stays(tmp_path, write):
    (tmp_path / "result").symlink_to("other")
    (tmp_path / "other").symlink_to("result")
    with pytest.raises(UserError, match="result is a link that leads to"):
        with write(tmp_path / "result"):
            pytest.fail("the work began")
    assert (tmp_path / "result").is_symlink()


def test_a_full_disk_is_found_before_the_work(tmp_path, monkeypatch):
    check_writable(tmp_path / "page.html")
    assert not _entries(tmp_path)

    def fill_disk(path, content):
        if content:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(pathlib.Path, "write_bytes", fill_disk)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        check_writable(tmp_path / "page.html")
    assert not _entries(tmp_path)


def test_a_directory_in_the_place_of_a_file_is_found_before_the_work(tmp_path):
    (tmp_path / "page.html").mkdir()
    with pytest.raises(UserError, match=r"page\.html is a directory; give a"):
        with atomic_file(tmp_path / "page.html"):
            pytest.fail("the work began")


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


def test_symbolic_links_are_followed(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk/artifact")
    for text in ("old", "new"):
        _write_artifact(tmp_path / "link", text)
        assert (tmp_path / "link").is_symlink()
        stored = tmp_path / "disk" / "artifact" / "data" / "text"
        assert stored.read_text() == text
    (tmp_path / "scores.json").symlink_to("disk/scores.json")
    with atomic_file(tmp_path / "scores.json") as temporary:
        temporary.write_text("{}")
    assert (tmp_path / "scores.json").is_symlink()
    assert (tmp_path / "disk" / "scores.json").read_text() == "{}"
    assert _entries(tmp_path) == ["disk", "link", "scores.json"]
    assert _entries(tmp_path / "disk") == ["artifact", "scores.json"]


@pytest.fixture
def mount_point(tmp_path, monkeypatch):
    """A directory that can't be renamed, as if it were a disk of its own."""
    target = tmp_path / "artifact"
    target.mkdir()
    is_target = target.__eq__
    monkeypatch.setattr(atomic_writing, "_is_mount_point", is_target)
    replace = os.replace

    def replace_on_one_disk(old, new):
        old, new = pathlib.Path(old), pathlib.Path(new)
        if target in (old, new) or (target in old.parents) != (
            target in new.parents
        ):
            raise OSError(errno.EBUSY, "busy or another disk")
        replace(old, new)

    monkeypatch.setattr(os, "replace", replace_on_one_disk)
    monkeypatch.setattr(atomic_writing, "_swap", lambda *paths: False)
    return target


def test_a_mount_point_is_filled_from_inside(mount_point):
    (mount_point / "lost+found").mkdir()
    for text in ("old", "new"):
        _write_artifact(mount_point, text)
        assert (mount_point / "data" / "text").read_text() == text
        read_manifest(mount_point, "example", verify=True)
        entries = _entries(mount_point)
        assert entries == ["data", "lost+found", "manifest.json"]
    (mount_point / "notes").write_text("mine")
    with pytest.raises(UserError, match="holds notes"):
        _write_artifact(mount_point, "newer")


def test_a_mount_point_gets_its_old_files_back(mount_point, monkeypatch):
    _write_artifact(mount_point, "old")
    move, moves = os.replace, []

    def fail_at_the_second_move_in(old, new):
        moves.append(pathlib.Path(new).parent == mount_point)
        if sum(moves) == 2:
            raise KeyboardInterrupt
        move(old, new)

    with monkeypatch.context() as context:
        context.setattr(os, "replace", fail_at_the_second_move_in)
        context.setattr(shutil, "rmtree", lambda path: None)
        with pytest.raises(KeyboardInterrupt):
            _write_artifact(mount_point, "new")
    assert not (mount_point / "manifest.json").exists()
    with pytest.raises(RuntimeError), atomic_directory(mount_point):
        raise RuntimeError
    assert (mount_point / "data" / "text").read_text() == "old"
    read_manifest(mount_point, "example", verify=True)
    assert _entries(mount_point) == ["data", "manifest.json"]


def test_mount_points_are_recognised(tmp_path):
    assert atomic_writing._is_mount_point(pathlib.Path("/proc"))
    assert not atomic_writing._is_mount_point(tmp_path)


def test_two_processes_do_not_resume_the_same_directory(tmp_path):
    with (
        resumable_directory(tmp_path / "s", {}),
        pytest.raises(UserError, match="Another process is writing .*s; wait"),
        resumable_directory(tmp_path / "s", {}),
    ):
        pytest.fail("the block must not run")


@pytest.mark.parametrize("writer", [atomic_directory, atomic_file])
def test_a_target_that_cannot_be_moved_is_found_before_the_work(
    tmp_path, writer
):
    target = tmp_path / "artifact"
    if writer is atomic_directory:
        target.mkdir()
        write_manifest(target, "example")
    else:
        target.touch()
    immutable = ["chattr", "+i", str(target)]
    if subprocess.run(immutable, capture_output=True, check=False).returncode:
        pytest.skip("needs root and a file system with attributes")
    try:
        with pytest.raises(UserError, match="artifact cannot be written: Op"):
            with writer(target):
                pytest.fail("the block must not run")
        assert os.listdir(tmp_path) == ["artifact"]
    finally:
        subprocess.run(["chattr", "-i", str(target)], check=True)


def test_writers_of_one_file_do_not_disturb_each_other(tmp_path):
    def write(text):
        for _ in range(40):
            with atomic_file(tmp_path / "file.txt") as temporary:
                temporary.write_text(text)

    texts = ["one", "two", "three"]
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        list(pool.map(write, texts))
    assert (tmp_path / "file.txt").read_text() in texts

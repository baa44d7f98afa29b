"""An index follows its folder until it is stopped."""

import errno
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading

import pytest

from agem_tf.errors import UserError
from agem_tf.library import watching
from agem_tf.library.indexing import index_photos
from agem_tf.retrieval.indexes import storage_at

pytest.importorskip("watchdog")
SECONDS = 120


@pytest.fixture
def library(photos, run_directory, tmp_path):
    """A folder of six photos, and the storage of its index inside it."""
    folder = tmp_path / "photos"
    shutil.copytree(photos, folder)
    shutil.rmtree(folder / "deep0" / "deep1")
    storage = storage_at(str(folder / "index"))
    index_photos(storage, str(folder), workdir=str(run_directory))
    return folder, storage


@pytest.fixture
def watched(library):
    """The folder, and what the watcher reports."""
    folder, storage = library
    reports, stop = queue.Queue(), threading.Event()
    settings = {"quiet": 0.2, "retry": 0.5, "stop": stop}
    thread = threading.Thread(
        target=watching.watch_photos,
        args=(storage,),
        kwargs={"report": reports.put, **settings},
    )
    thread.start()
    assert reports.get(timeout=SECONDS).total == 6
    yield folder, storage, reports
    stop.set()
    thread.join(SECONDS)
    assert not thread.is_alive() and reports.empty()


def test_what_comes_moves_and_goes_is_followed(watched, photos):
    folder, storage, reports = watched
    # In one step, so that no synchronization sees a part of the file.
    shutil.copy(photos / "place0 0.png", folder.parent / "new.png")
    os.rename(folder.parent / "new.png", folder / "new.png")
    change = reports.get(timeout=SECONDS)
    assert (change.added, change.total) == (1, 7)
    os.rename(folder / "new.png", folder / "newer.png")
    change = reports.get(timeout=SECONDS)
    assert (change.renamed, change.total) == (1, 7)
    os.remove(folder / "newer.png")
    change = reports.get(timeout=SECONDS)
    assert (change.removed, change.total) == (1, 6)
    assert len(storage.open().index) == 6


def test_a_folder_that_is_gone_for_a_while_loses_no_photo(watched, photos):
    folder, storage, reports = watched
    away = folder.parent / "away"
    os.rename(folder, away)
    shutil.copy(photos / "place0 0.png", away / "new.png")
    os.rename(away, folder)
    change = reports.get(timeout=SECONDS)
    assert (change.added, change.removed, change.total) == (1, 0, 7)


def test_a_full_disk_is_named_until_there_is_room(
    watched, photos, monkeypatch, caplog
):
    folder, storage, reports = watched
    sync, calls = watching.sync_photos, []

    def full_once(*arguments, **options):
        calls.append(arguments)
        if len(calls) == 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return sync(*arguments, **options)

    monkeypatch.setattr(watching, "sync_photos", full_once)
    shutil.copy(photos / "place0 0.png", folder / "new.png")
    assert reports.get(timeout=SECONDS).added == 1
    reason = os.strerror(errno.ENOSPC)
    assert f"{folder / 'index'} can't be written: {reason}" in caplog.text


def test_changes_of_the_index_and_of_hidden_files_do_not_count(tmp_path):
    changes = watching._FolderChanges(str(tmp_path), str(tmp_path / "index"))
    counted = {
        path: changes._counts(tmp_path / path)
        for path in ("a.jpg", "b/a.jpg", ".a.jpg", ".b/a.jpg", "index/a")
    }
    assert [path for path, counts in counted.items() if counts] == [
        "a.jpg",
        "b/a.jpg",
    ]
    assert not changes._counts(tmp_path.parent / "a.jpg")


def test_a_missing_index_is_one_sentence(tmp_path):
    with pytest.raises(UserError):
        watching.watch_photos(storage_at(str(tmp_path / "none")), report=print)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_command_with_status_0(library, number):
    folder, _ = library
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "agem_tf.index", "--watch"),
            f"--index={folder / 'index'}",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "6 there already; 6 photos\n"
        process.send_signal(number)
        _, complaints = process.communicate(timeout=SECONDS)
    finally:
        process.kill()
    assert process.returncode == 0, complaints
    assert "Traceback" not in complaints

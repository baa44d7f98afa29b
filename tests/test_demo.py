"""The demonstration indexes photos once, and serves them."""

import json
import re
import signal
import subprocess
import sys
import urllib.request

import pytest

from agem_tf import demo
from agem_tf.photos.listing import list_folder


@pytest.fixture
def called(monkeypatch, tmp_path):
    """Options that `agem_tf.index` and `agem_tf.serve` are called with."""
    calls = []

    def index_(options):
        calls.append(options)
        (tmp_path / options.index).mkdir(parents=True, exist_ok=True)

    monkeypatch.setattr(demo.index, "main", index_)
    monkeypatch.setattr(demo.serve, "main", calls.append)
    return calls


def test_rendered_photos_are_indexed_once_and_then_served(
    called, tmp_path, monkeypatch
):
    monkeypatch.setattr(demo, "_BUILDINGS", 2)
    monkeypatch.setattr(demo, "_VIEWS", 1)
    monkeypatch.setattr(demo, "_SIDE", 64)
    options = demo.DemoOptions(directory=str(tmp_path), browser=False)
    demo.main(options)
    made, served = called
    names = [name[len(made.photos) :] for name in list_folder(made.photos)]
    assert names == ["/building 01/1.jpg", "/building 02/1.jpg"]
    assert (served.index, served.browser) == (made.index, False)
    demo.main(options)
    assert type(called[2]).__name__ == "SyncOptions"
    assert called[2].index == called[3].index == made.index


def test_every_folder_of_photos_has_its_own_index(called, tmp_path):
    for folder in ("a", "b", "a"):
        demo.main(
            demo.DemoOptions(
                photos=str(tmp_path / folder), directory=str(tmp_path / "demo")
            )
        )
    places = [options.index for options in called[::2]]
    assert places[0] == places[2] != places[1]
    assert [type(options).__name__ for options in called[::2]] == [
        "IndexOptions",
        "IndexOptions",
        "SyncOptions",
    ]


def test_it_ends_up_serving_a_folder(photo_folder, tmp_path):
    pytest.importorskip("fastapi")
    command = [sys.executable, "-m", "agem_tf.demo", f"--photos={photo_folder}"]
    command += [f"--directory={tmp_path / 'demo'}", "--port=0"]
    with subprocess.Popen(
        [*command, "--browser=false"], stdout=subprocess.PIPE, text=True
    ) as process:
        address = None
        while address is None and (line := process.stdout.readline()):
            address = re.search(r"http://\S+", line)
        with urllib.request.urlopen(f"{address[0]}/library") as answer:
            assert json.load(answer)["photos"] == 18
        with urllib.request.urlopen(address[0]) as page:
            assert b"<html" in page.read()
        process.send_signal(signal.SIGTERM)
        # uvicorn repeats the signal once it has finished its requests.
        assert process.wait(60) in (0, -signal.SIGTERM)

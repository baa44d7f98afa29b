"""A killed preparation leaves nothing under the final name, and no litter."""

import os
import resource
import signal
import subprocess
import sys

import pytest

from agem_tf.datasets.preparation import prepare
from agem_tf.errors import sentence_of


def start(directory):
    sizes = {"train": 2, "validation": 0, "test": 1}
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "agem_tf.prepare",
            "--dataset=synthetic_landmarks",
            f"--data_dir={directory}",
            "--option=photos_per_landmark=2",
            "--option=image_size=64",
            *(f"--option={k}_landmarks={v}" for k, v in sizes.items()),
        ],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_kill_and_prepare_again(tmp_path):
    killed = start(tmp_path / "data")
    for line in killed.stderr:
        if "Rendering train" in line:
            os.kill(killed.pid, signal.SIGKILL)
    assert killed.wait(timeout=60) == -signal.SIGKILL
    assert not (tmp_path / "data").exists()
    assert list(tmp_path.iterdir())

    again = start(tmp_path / "data")
    printed, log = again.communicate(timeout=300)
    assert again.returncode == 0, log
    assert "train: 4 photos of 2 landmarks" in printed
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_full_disk_of_unfinished_files_is_named(photo_folder, tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    data, parts = tmp_path / "data", tmp_path / "parts"
    options = {"source": str(photo_folder)}
    try:
        with pytest.raises(OSError, match="File too large") as raised:
            prepare("photo_folder", data, options, parts_dir=str(parts))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    sentence = sentence_of(raised.value, str(data))
    assert sentence.startswith(f"{parts}/.data.")

"""A killed preparation leaves nothing under the final name, and no litter."""

import os
import signal
import subprocess
import sys


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

"""A killed run goes on where it stopped and ends as if nothing happened."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from agem_tf.training import runs


def start(recipe_file, workdir, *overrides):
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "agem_tf.train",
            f"--config={recipe_file}",
            f"--workdir={workdir}",
            "--set=training.epochs=3",
            "--set=training.checkpoint_steps=1",
            *overrides,
        ],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def weights(workdir):
    model = runs.load_model(workdir / runs.BEST_MODEL)
    return [np.asarray(value) for value in model.get_weights()]


def state(workdir):
    """The newest checkpoint: weights and Adam's moments."""
    path = tf.train.latest_checkpoint(str(workdir / "checkpoints"))
    reader = tf.train.load_checkpoint(path)
    dtypes = reader.get_variable_to_dtype_map()
    return [
        reader.get_tensor(name)
        for name in sorted(dtypes)
        if dtypes[name] == tf.float32
    ]


@pytest.mark.parametrize("line", ["Epoch 1 of 3", "Epoch 2: "])
def test_kill_and_resume_ends_with_the_same_weights(
    recipe_file, tmp_path, line
):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    undisturbed = start(recipe_file, whole)
    _, log = undisturbed.communicate(timeout=600)
    assert undisturbed.returncode == 0, log

    killed = start(recipe_file, broken)
    for text in killed.stderr:
        if line in text:
            os.kill(killed.pid, signal.SIGKILL)
    assert killed.wait(timeout=60) == -signal.SIGKILL

    resumed = start(recipe_file, broken)
    _, log = resumed.communicate(timeout=600)
    assert resumed.returncode == 0, log
    assert "Resumed from" in log

    histories = [
        json.loads((workdir / "history.json").read_text())
        for workdir in (whole, broken)
    ]
    for row, other in zip(*histories, strict=True):
        assert row["train_loss"] == pytest.approx(other["train_loss"], rel=1e-4)
    for value, other in zip(weights(whole), weights(broken), strict=True):
        np.testing.assert_allclose(value, other, rtol=1e-4, atol=1e-6)
    for value, other in zip(state(whole), state(broken), strict=True):
        np.testing.assert_allclose(value, other, rtol=1e-3, atol=1e-6)

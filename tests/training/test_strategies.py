"""Every strategy trains like one device, and survives the loss of a worker.

The loss is the one within batches: its negatives are those of all replicas.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent import futures

import numpy as np
import pytest
import tensorflow as tf

from agem_tf.config import BenchmarkConfig, loading

pytestmark = pytest.mark.long
# Of three steps.
EPOCHS = 4
TIMEOUT = 1200
# One strategy a process: strategies of different sizes disturb each other.
SCRIPT = """
import json
import pathlib
import sys

import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * int(sys.argv[1])
)
from agem_tf import train
from agem_tf.config import loading

content = json.loads(pathlib.Path(sys.argv[2]).read_text())
recipe = loading.recipe_from_dict(content)
recipe.training.steps_per_call = int(sys.argv[3])
train.main(
    train.TrainOptions(config=recipe, workdir=sys.argv[4], strategy=sys.argv[5])
)
"""
RECIPE = '''"""The tests' recipe."""

import json

from agem_tf.config import loading


def get_config():
    return loading.recipe_from_dict(json.loads({!r}))
'''


@pytest.fixture(scope="module")
def recipe_json(make_recipe):
    """A recipe with trainable batch normalization, as JSON."""
    recipe = make_recipe()
    recipe.model.feature_map = "C2"
    recipe.model.attention_placement = ("C2",)
    recipe.model.batch_norm = "trainable"
    recipe.loss.name, recipe.loss.options = "batch_hard_triplet", {}
    recipe.data.test_split, recipe.extraction.whitening = "", "none"
    recipe.training.epochs, recipe.training.keep_checkpoints = EPOCHS, 99
    recipe.evaluation.benchmarks = [
        BenchmarkConfig(recipe.data.directory, size=48, every=EPOCHS)
    ]
    # Where a gradient is all rounding, Adam's step has the sign of rounding;
    # with larger steps that would show after a few.
    recipe.optimizer.learning_rate = 1e-5
    return json.dumps(loading.recipe_to_dict(recipe))


def start(*command, **environment):
    return subprocess.Popen(
        [sys.executable, *map(str, command)],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process):
    """Waits for a process and returns what it wrote."""
    try:
        log, _ = process.communicate(timeout=TIMEOUT)
    finally:
        process.kill()
    assert process.returncode == 0, log
    return log


def finish_all(processes):
    """Finishes processes that wait for each other; reads the output of all."""
    with futures.ThreadPoolExecutor(len(processes)) as threads:
        return list(threads.map(finish, processes))


@pytest.fixture(scope="module")
def workdirs(recipe_json, tmp_path_factory):
    """Name of a strategy -> workdir of its run, on virtual CPUs."""
    root = tmp_path_factory.mktemp("runs")
    path = root / "recipe.json"
    path.write_text(recipe_json)
    # Replicas and steps a call.
    settings = {"one": (1, 1), "mirrored2": (2, 3), "mirrored4": (4, 2)}
    finish_all(
        [
            start(
                *("-c", SCRIPT, replicas, path, steps_per_call),
                *(root / name, name.rstrip("24")),
            )
            for name, (replicas, steps_per_call) in settings.items()
        ]
    )
    return {name: root / name for name in settings}


def start_workers(root, recipe_json):
    """Starts the chief and another worker."""
    with socket.socket() as first, socket.socket() as second:
        first.bind(("localhost", 0))
        second.bind(("localhost", 0))
        addresses = [
            f"localhost:{each.getsockname()[1]}" for each in (first, second)
        ]
    (root / "recipe.py").write_text(RECIPE.format(recipe_json))
    return [
        start(
            *("-m", "agem_tf.train", f"--config={root / 'recipe.py'}"),
            *(f"--workdir={root / 'run'}", "--set=training.checkpoint_steps=1"),
            # TF_CONFIG decides.
            "--strategy=auto",
            TF_CONFIG=json.dumps(
                {
                    "cluster": {"worker": addresses},
                    "task": {"type": "worker", "index": index},
                }
            ),
        )
        for index in range(2)
    ]


@pytest.fixture(scope="module")
def killed(recipe_json, tmp_path_factory):
    """Root of a run, the survivor's status and log, seconds until its end."""
    root = tmp_path_factory.mktemp("workers")
    chief, other = start_workers(root, recipe_json)
    with futures.ThreadPoolExecutor() as threads:
        threads.submit(other.communicate)
        next((line for line in chief.stdout if "Epoch 1 of" in line), None)
        other.send_signal(signal.SIGKILL)
        began = time.monotonic()
        log, _ = chief.communicate(timeout=TIMEOUT)
    return root, chief.returncode, log, time.monotonic() - began


def test_a_worker_whose_partner_dies_ends_with_one_sentence(killed):
    _, status, log, seconds = killed
    assert status == 2, log
    assert log.splitlines()[-1].startswith("error: Another worker has stopped")
    # TensorFlow's heartbeat takes ten; the rest is for a busy machine.
    assert seconds < 60


@pytest.fixture(scope="module")
def resumed(killed, recipe_json):
    """The workdir of the same run, after both workers were started again."""
    root = killed[0]
    for log in finish_all(start_workers(root, recipe_json)):
        assert "Resumed from" in log
    return root / "run"


@pytest.fixture(params=["mirrored2", "mirrored4", "multiworker"])
def several(request):
    """Workdir of a run on several replicas."""
    if request.param == "multiworker":
        return request.getfixturevalue("resumed")
    return request.getfixturevalue("workdirs")[request.param]


def history(workdir):
    return json.loads((workdir / "history.json").read_text())


def values(workdir, kind, epoch):
    """The floats of the checkpoint that ends an epoch, in one vector."""
    for path in (workdir / "checkpoints").glob("*.index"):
        reader = tf.train.load_checkpoint(str(path.with_suffix("")))
        dtypes = reader.get_variable_to_dtype_map()
        (key,) = [key for key in dtypes if key.startswith("progress/")]
        progress = json.loads(reader.get_tensor(key))
        if (progress["epoch"], progress["step"]) == (epoch, 0):
            names = [key for key in sorted(dtypes) if key.startswith(kind)]
            return np.concatenate(
                [
                    reader.get_tensor(name).ravel()
                    for name in names
                    if dtypes[name] == tf.float32
                ]
            )
    raise AssertionError(f"no checkpoint of {workdir} ends epoch {epoch}")


def difference(first, second):
    return np.linalg.norm(first - second) / np.linalg.norm(first)


def test_losses_equal_those_of_one_device(workdirs, several):
    rows = history(workdirs["one"])
    assert len(rows) == EPOCHS
    for row, other in zip(rows, history(several), strict=True):
        for key in ("train_loss", "validation_loss", "p"):
            # Of batch statistics across replicas, the variance is a difference
            # of means, which loses digits.
            assert other[key] == pytest.approx(row[key], rel=5e-4), key
        # Rounding may change places in two of the nine rankings, each of
        # which moves the mean by at most 0.375 / 9.
        assert other["validation_map"] == pytest.approx(
            row["validation_map"], abs=0.085
        )
        benchmark = "data/map"
        assert (benchmark in row) == (row["epoch"] == EPOCHS)
        if benchmark in row:
            assert other[benchmark] == pytest.approx(row[benchmark], abs=0.085)


def test_gradients_equal_those_of_one_device(workdirs, several):
    # Adam's moments: unlike its steps they show the gradients' scale.
    first, second = (
        values(workdir, "optimizer/", epoch=1)
        for workdir in (workdirs["one"], several)
    )
    assert difference(first, second) < 2e-3


def test_weights_equal_those_of_one_device(workdirs, several):
    begun, first = (
        values(workdirs["one"], "model/", epoch) for epoch in (1, EPOCHS)
    )
    moved = np.linalg.norm(first - begun)
    second = values(several, "model/", EPOCHS)
    assert np.linalg.norm(first - second) < 0.01 * moved

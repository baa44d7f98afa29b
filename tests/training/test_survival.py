"""A failure in a long run ends with one sentence, and nothing is lost."""

import csv
import json
import os
import resource
import shutil
import signal

import numpy as np
import pytest
import tensorflow as tf

from agem_tf.datasets.records import RecordStore
from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.distribution import preemption
from agem_tf.errors import UserError
from agem_tf.training import job


@pytest.fixture
def recipe(make_shallow_recipe):
    """A shallow network; the run only trains it."""
    recipe = make_shallow_recipe()
    recipe.training.epochs = 1
    return recipe


@pytest.fixture
def listening(monkeypatch):
    monkeypatch.setattr(preemption._State, "requested", False)
    before = signal.getsignal(signal.SIGTERM)
    preemption.listen()
    yield
    signal.signal(signal.SIGTERM, before)


def saved_progress(workdir):
    """The newest checkpoint's position."""
    path = tf.train.latest_checkpoint(str(workdir / "checkpoints"))
    reader = tf.train.load_checkpoint(path)
    name = "progress/.ATTRIBUTES/VARIABLE_VALUE"
    return json.loads(reader.get_tensor(name))


def test_sigterm_saves_in_the_middle_of_an_epoch(
    recipe, tmp_path, monkeypatch, listening
):
    recipe.training.batch_tuples = 1
    recipe.training.steps_per_call = 2
    read = RecordStore.read
    # The pictures take 4 photos, and mining 15 and one more for whole batches.
    remaining = iter(range(4 + 16, -1, -1))

    def read_and_signal(store, file, offset):
        if next(remaining, None) == 0:
            os.kill(os.getpid(), signal.SIGTERM)
        return read(store, file, offset)

    monkeypatch.setattr(RecordStore, "read", read_and_signal)
    with pytest.raises(SystemExit) as ended:
        job.run_recipe(recipe, tmp_path)
    assert ended.value.code == preemption.STATUS
    assert saved_progress(tmp_path)["step"] == 2


def test_numbers_that_are_not_finite_stop_the_run(recipe, tmp_path):
    recipe.training.epochs = 3
    recipe.training.batch_tuples = 1
    recipe.training.checkpoint_steps = 1
    recipe.optimizer.learning_rate = 1e25
    with pytest.raises(
        UserError, match="Step 2 of epoch 1 .* first in: outputs"
    ):
        job.run_recipe(recipe, tmp_path)
    assert saved_progress(tmp_path)["step"] == 1


@pytest.mark.parametrize(
    ("field", "value", "tolerance"),
    [
        ("remat", True, 1e-5),
        ("jit_compile", True, 1e-4),
        ("precision", "mixed_float16", 2e-2),
    ],
)
def test_ways_to_compute_a_step_give_its_numbers(
    recipe, tmp_path, field, value, tolerance
):
    """Those of the first step; then Adam makes more of every rounding."""
    recipe.training.epochs = 2
    recipe.training.log_steps = 1

    def numbers(workdir):
        job.run_recipe(recipe, workdir)
        with (workdir / "steps.csv").open() as file:
            rows = list(csv.DictReader(file))
        losses = [float(row["loss"]) for row in rows]
        return losses, float(rows[-1]["gradient_norm"])

    expected, _ = numbers(tmp_path / "plain")
    setattr(recipe.training, field, value)
    losses, norm = numbers(tmp_path / field)
    assert losses[0] == pytest.approx(expected[0], rel=tolerance)
    assert losses[:3] == pytest.approx(expected[:3], rel=0.1)
    assert np.isfinite(norm)


def test_a_profiled_run_writes_a_trace(recipe, tmp_path):
    recipe.training.epochs = 2
    job.run_recipe(recipe, tmp_path, profile_steps=range(2, 4))
    traces = (tmp_path / "tensorboard" / "plugins" / "profile").iterdir()
    (trace,) = next(traces).glob("*.xplane.pb")
    assert b"train" in trace.read_bytes()
    rows = json.loads((tmp_path / "history.json").read_text())
    assert all(0 < row["data_wait"] < 1 for row in rows)
    assert all(row["images_per_second"] > 0 for row in rows)


def test_a_full_disk_is_one_sentence(recipe, tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, before[1]))
    try:
        with pytest.raises(UserError, match=str(tmp_path)):
            job.run_recipe(recipe, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list((tmp_path / "checkpoints").iterdir())


@pytest.fixture
def damaged(places, tmp_path):
    """A dataset with a flipped bit in `train` and a cut file in `test`."""
    data = tmp_path / "data"
    shutil.copytree(places, data)
    train = next((data / "records").glob("*train.tfrecord*"))
    content = bytearray(train.read_bytes())
    content[len(content) // 2] ^= 1
    train.write_bytes(content)
    test = next((data / "records").glob("*test.tfrecord*"))
    test.write_bytes(test.read_bytes()[:-100])
    return data


def test_lost_photos_are_skipped_counted_and_reported(
    recipe, damaged, tmp_path
):
    recipe.data.directory = str(damaged)
    recipe.data.test_split = "test"
    with pytest.raises(UserError, match="test.tfrecord.* has"):
        job.run_recipe(recipe, tmp_path / "run")
    result = job.run_recipe(recipe, tmp_path / "run", skip_corrupt=True)
    assert {name: len(lost) for name, lost in result.lost.items()} == {
        "train": 1,
        "test": 1,
    }
    assert f"Skipped in test: 1 photo(s), first {result.lost['test'][0]}" in (
        result.describe()
    )
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["lost_photos"] == result.lost
    stored = DescriptorSet.load(tmp_path / "run/descriptors/trained/test")
    assert len(stored.names) == 8
    assert stored.provenance["lost"] == result.lost["test"]
    assert not set(stored.names) & set(result.lost["test"])
    scores = result.evaluations["trained"].scores
    assert np.isfinite(scores.medium.mean_average_precision)

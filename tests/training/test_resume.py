"""A killed run resumes and ends with the weights of an undisturbed one."""

import copy
import csv
import json
import multiprocessing
import pathlib
import random
import signal
import socket

import numpy as np
import pytest
import tensorflow as tf

from agem_tf.config import UseConfig
from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.distribution import preemption
from agem_tf.models import AGeM
from agem_tf.weights.keras_files import load_keras_model

pytestmark = pytest.mark.long
# Of an epoch's row, what depends on the time that it took.
TIMES = {"images_per_second", "data_wait"}


@pytest.fixture
def start(monkeypatch):
    """Starts runs in processes that have already imported TensorFlow.

    With the workdir of a run in place of a recipe, they extract its
    descriptors into the second directory.
    """
    monkeypatch.syspath_prepend(pathlib.Path(__file__).parent)
    import child_process

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["agem_tf.training.job"])
    started = []

    def start_process(target, *arguments):
        process = context.Process(target=target, args=arguments)
        process.start()
        started.append(process)
        return process

    def start_run(recipe, workdir, strategy="one", tf_config=""):
        if isinstance(recipe, pathlib.Path):
            return start_process(
                child_process.run_extraction,
                str(recipe),
                str(workdir),
                tf_config,
            )
        return start_process(
            child_process.run,
            copy.deepcopy(recipe),
            str(workdir),
            strategy,
            tf_config,
        )

    yield start_run
    for process in started:
        process.kill()
        process.join()


@pytest.fixture
def recipe(make_shallow_recipe):
    """Twelve steps of a shallow network, and as many checkpoints."""
    recipe = make_shallow_recipe()
    recipe.training.epochs = 4
    recipe.training.checkpoint_steps = 1
    recipe.training.log_steps = 2
    recipe.training.validate_steps, recipe.training.keep_best = 2, 3
    return recipe


def change_every_step(recipe):
    """Adds what depends on the step, the epoch, the example and the start."""
    recipe.optimizer.schedule, recipe.optimizer.warmup_steps = "cosine", 3
    recipe.optimizer.average, recipe.optimizer.clip_norm = 0.7, 1.0
    recipe.augmentation.crop, recipe.augmentation.noise = 0.5, 20.0
    recipe.loss.start_weight = 0.5


def wait(process, happened):
    """Blocks until `happened()` is true or the process has ended."""
    while process.is_alive() and not happened():
        process.join(0.001)


def changed(path):
    """Returns a function: whether `path` has been written since now."""

    def modified():
        return path.stat().st_mtime_ns if path.exists() else None

    before = modified()
    return lambda: modified() != before


def is_saving(workdir):
    return any((workdir / "checkpoints").glob("*_temp"))


def disturb(process, workdir, moment):
    """Ends a run at a moment; returns its exit status.

    Args:
        process: just started.
        workdir: of the run.
        moment: "saving", "mining", or seconds after its first checkpoint;
            negative ones mean SIGTERM instead of SIGKILL.
    """
    first_checkpoint = changed(workdir / "checkpoints" / "checkpoint")
    end_of_epoch = changed(workdir / "history.json")
    if moment == "saving":
        wait(process, lambda: is_saving(workdir))
    elif moment == "mining":
        wait(process, end_of_epoch)
    else:
        wait(process, first_checkpoint)
        process.join(abs(moment))
    terminate = moment not in ("saving", "mining") and moment < 0
    process.terminate() if terminate else process.kill()
    process.join()
    return process.exitcode


def finish(process):
    process.join()
    assert process.exitcode == 0


def numbers(workdir):
    """Weights and Adam's state of the end, and the best weights."""
    # Not tf.train.latest_checkpoint: a run that only reads has no list of them.
    newest = max(
        (workdir / "checkpoints").glob("ckpt-*.index"),
        key=lambda path: int(path.stem.rpartition("-")[2]),
    )
    reader = tf.train.load_checkpoint(str(newest.with_suffix("")))
    saved = {
        name: reader.get_tensor(name)
        for name, dtype in reader.get_variable_to_dtype_map().items()
        if dtype != tf.string and not name.startswith("save_counter")
    }
    best = load_keras_model(workdir / "best.keras", AGeM)
    return saved | {weight.path: weight.numpy() for weight in best.weights}


def history(workdir):
    rows = json.loads((workdir / "history.json").read_text())
    return [{k: row[k] for k in row if k not in TIMES} for row in rows]


def logged_steps(workdir):
    """The rows of steps.csv, without what depends on the time."""
    with (workdir / "steps.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [{k: row[k] for k in row if k not in TIMES} for row in rows]


def best_models(workdir):
    names = sorted(path.name for path in (workdir / "best").iterdir())
    assert len(names) == 3
    return names


def check_equal(workdir, other):
    assert history(workdir) == history(other)
    assert logged_steps(workdir) == logged_steps(other)
    assert best_models(workdir) == best_models(other)
    ours, theirs = numbers(workdir), numbers(other)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        np.testing.assert_array_equal(value, theirs[name], err_msg=name)


@pytest.mark.parametrize(
    ("strategy", "moments"),
    [
        ("one", ["saving", "mining", 0.0, -0.3, 0.6, 1.0]),
        ("mirrored", ["saving", "mining", 0.4]),
    ],
)
def test_a_killed_run_ends_with_the_bits_of_an_undisturbed_one(
    recipe, start, tmp_path, strategy, moments
):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    if strategy == "mirrored":
        change_every_step(recipe)
    undisturbed = start(recipe, whole, strategy)
    draw = random.Random(strategy)
    statuses = []
    for moment in draw.sample(moments, len(moments)):
        if isinstance(moment, float):
            moment *= draw.uniform(0.5, 1.5)
        process = start(recipe, broken, strategy)
        statuses.append(disturb(process, broken, moment))
    finish(start(recipe, broken, strategy))
    finish(undisturbed)
    assert statuses.count(-signal.SIGKILL) >= 2
    assert set(statuses) <= {-signal.SIGKILL, preemption.STATUS, 0}
    check_equal(whole, broken)


@pytest.mark.parametrize("strategy", ["one", "mirrored"])
def test_deterministic_runs_have_the_same_bits(
    recipe, start, tmp_path, strategy
):
    """Also in a GPU's kernels, of which TensorFlow refuses some."""
    change_every_step(recipe)
    recipe.training.epochs, recipe.training.deterministic = 2, True
    for process in [
        start(recipe, tmp_path / name, strategy) for name in ("a", "b")
    ]:
        finish(process)
    assert len(history(tmp_path / "a")) >= 2
    check_equal(tmp_path / "a", tmp_path / "b")


def start_workers(start, recipe, workdir):
    """Starts the chief and another worker; see `start`."""
    with socket.socket() as first, socket.socket() as second:
        first.bind(("localhost", 0))
        second.bind(("localhost", 0))
        ports = [each.getsockname()[1] for each in (first, second)]
    cluster = {"worker": [f"localhost:{port}" for port in ports]}
    tasks = [{"type": "worker", "index": index} for index in range(2)]
    return [
        start(
            recipe,
            workdir,
            "multiworker",
            json.dumps({"cluster": cluster, "task": task}),
        )
        for task in tasks
    ]


def terminate(workers, moment):
    """Ends workers by SIGTERM to some, half a second apart."""
    chief = workers[0]
    for worker in workers if moment == "stepping" else workers[:1]:
        worker.terminate()
        chief.join(0.5)
    return [worker.exitcode for worker in workers if worker.join() is None]


def test_workers_stop_together_and_lose_nothing(recipe, start, tmp_path):
    recipe.training.epochs = 2
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for worker in start_workers(start, recipe, whole):
        finish(worker)
    for moment, path in {
        "stepping": "checkpoints/checkpoint",
        "mining": "history.json",
        "exporting": "metrics.json",
    }.items():
        chief, other = workers = start_workers(start, recipe, broken)
        wait(chief, changed(broken / path))
        signalled = [other, chief] if moment == "mining" else workers
        statuses = terminate(signalled, moment)
        assert statuses == [preemption.STATUS] * 2, moment
    for worker in start_workers(start, recipe, broken):
        finish(worker)
    check_equal(whole, broken)


def test_workers_stop_an_extraction_together(recipe, start, tmp_path):
    recipe.training.epochs = 0
    recipe.image.size = 256
    recipe.extraction.batch_size = 2
    run = tmp_path / "run"
    finish(start(recipe, run))
    for number, first in enumerate((0, 1)):
        output = tmp_path / f"extracted{number}"
        workers = start_workers(start, run, output)
        unfinished = tmp_path / f".{output.name}.unfinished" / "content"
        wait(workers[0], (unfinished / "descriptors.npy").exists)
        workers[first].terminate()
        statuses = [each.exitcode for each in workers if each.join() is None]
        assert statuses == [preemption.STATUS] * 2
        assert not output.exists()
        for worker in start_workers(start, run, output):
            finish(worker)
    finish(start(run, tmp_path / "alone"))
    alone = DescriptorSet.load(tmp_path / "alone")
    for number in range(2):
        resumed = DescriptorSet.load(tmp_path / f"extracted{number}")
        assert resumed.names == alone.names
        np.testing.assert_allclose(
            resumed.descriptors, alone.descriptors, atol=1e-5
        )


def scores_and_descriptors(workdir):
    """The final scores of a run, and the descriptors behind them."""
    scores = json.loads((workdir / "metrics.json").read_text())
    sets = [
        DescriptorSet.load(workdir / "descriptors" / "trained" / split)
        for split in ("test", "train")
    ]
    return scores, np.concatenate([each.descriptors for each in sets])


def test_workers_stop_while_a_trained_network_is_scored(
    recipe, start, tmp_path
):
    """One worker during extraction, both while a whitening is learned."""
    recipe.training.epochs = 1
    recipe.data.test_split = "test"
    recipe.evaluation.untrained = False
    recipe.extraction.test = UseConfig(size=512)
    recipe.extraction.batch_size = 2
    recipe.extraction.whitening = "learned"
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for worker in start_workers(start, recipe, whole):
        finish(worker)
    scored = broken / "descriptors" / "trained"
    for begun, signalled in {
        scored / ".test.unfinished" / "content" / "descriptors.npy": [1],
        scored / ".train.unfinished" / "content" / "descriptors.npy": [1, 0],
    }.items():
        workers = start_workers(start, recipe, broken)
        wait(workers[0], begun.exists)
        for index in signalled:
            workers[index].terminate()
        statuses = [each.exitcode for each in workers if each.join() is None]
        assert statuses == [preemption.STATUS] * 2, begun
        assert not (broken / "metrics.json").exists()
    for worker in start_workers(start, recipe, broken):
        finish(worker)
    scores, descriptors = scores_and_descriptors(whole)
    assert list(scores) == ["trained", "trained, learned whitening"]
    scores_again, descriptors_again = scores_and_descriptors(broken)
    assert scores == scores_again
    np.testing.assert_array_equal(descriptors, descriptors_again)

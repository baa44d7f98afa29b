"""Training on classes: single photos, with ArcFace or a plain softmax."""

import json
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from agem_tf import config
from agem_tf.config import loading
from agem_tf.datasets.prepared import Split
from agem_tf.distribution import preemption
from agem_tf.errors import UserError
from agem_tf.training import job
from agem_tf.training.tasks.classification import ClassificationTask

EPOCHS = 3  # Of three steps of four photos; three of fifteen are left over.
LABELS = np.array([40, 7, -1, 7, 900, 40, 7, -2, 12])

# Arguments: recipe, workdir, replicas, how many photos it may read.
SCRIPT = """
import json
import os
import pathlib
import signal
import sys

import tensorflow as tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * int(sys.argv[3]),
)
from agem_tf.config import loading
from agem_tf.datasets.records import RecordStore
from agem_tf.training import job

read, remaining = RecordStore.read, iter(range(int(sys.argv[4])))

def read_or_die(*arguments):
    if next(remaining, None) is None:
        os.kill(os.getpid(), signal.SIGKILL)
    return read(*arguments)

RecordStore.read = read_or_die
content = json.loads(pathlib.Path(sys.argv[1]).read_text())
recipe = loading.recipe_from_dict(content)
strategy = "mirrored" if int(sys.argv[3]) > 1 else "one"
job.run_recipe(recipe, sys.argv[2], strategy)
"""


def shallow(recipe, loss="arcface"):
    """Changes a recipe to a shallow network and to classes."""
    recipe.model.backbone = "vgg16"
    recipe.model.feature_map = "C2"
    recipe.model.attention = "none"
    recipe.image.size = 32
    recipe.loss = config.LossConfig(loss)
    recipe.training.epochs = EPOCHS
    recipe.training.checkpoint_steps = 1
    recipe.training.keep_checkpoints = 99
    recipe.training.steps_per_call = 2
    recipe.extraction.whitening = "none"
    recipe.data.test_split = ""
    return recipe


@pytest.fixture
def recipe(make_recipe):
    return shallow(make_recipe())


def history(workdir):
    rows = json.loads((workdir / "history.json").read_text())
    times = {"images_per_second", "data_wait"}
    return [{k: row[k] for k in row if k not in times} for row in rows]


def checkpoint(workdir, epoch, step=0):
    """Name -> value of all variables in the checkpoint of a step."""
    for path in (workdir / "checkpoints").glob("*.index"):
        reader = tf.train.load_checkpoint(str(path.with_suffix("")))
        values = {
            name: reader.get_tensor(name)
            for name in reader.get_variable_to_shape_map()
            if name.endswith("VARIABLE_VALUE")
        }
        saved = json.loads(values.pop("progress/.ATTRIBUTES/VARIABLE_VALUE"))
        values.pop("save_counter/.ATTRIBUTES/VARIABLE_VALUE")
        if (saved["epoch"], saved["step"]) == (epoch, step):
            return values
    raise AssertionError(f"no checkpoint of {workdir} is of {epoch}, {step}")


def check_equal(workdir, other):
    assert history(workdir) == history(other)
    ours, theirs = (checkpoint(each, EPOCHS) for each in (workdir, other))
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        np.testing.assert_array_equal(value, theirs[name], err_msg=name)


@pytest.fixture(scope="module")
def runs(make_recipe, tmp_path_factory):
    """Workdirs of an undisturbed run, one on two replicas, and a killed one.

    It dies after 4 photos for pictures, an epoch of 12 with 12 for validation,
    and 5 of the next epoch.
    """
    root = tmp_path_factory.mktemp("runs")
    recipe = shallow(make_recipe())
    path = root / "recipe.json"
    path.write_text(json.dumps(loading.recipe_to_dict(recipe)))
    statuses = {"mirrored": 0, "killed": -signal.SIGKILL}
    arguments = {"mirrored": (2, 10**9), "killed": (1, 4 + 12 + 12 + 5)}
    processes = {
        name: subprocess.Popen(
            [sys.executable, "-c", SCRIPT, path, root / name, *map(str, rest)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for name, rest in arguments.items()
    }
    job.run_recipe(recipe, root / "whole")
    for name, process in processes.items():
        log, _ = process.communicate()
        assert process.returncode == statuses[name], log
    return {name: root / name for name in ("whole", *processes)}


@pytest.fixture
def undisturbed(runs):
    return runs["whole"]


def make_task(labels=LABELS, seed=0):
    recipe = config.Config(loss=config.LossConfig("arcface", {"scale": 8.0}))
    recipe.training.seed = seed
    nothing = np.zeros(len(labels), np.int64)
    split = Split(
        name="train",
        names=[f"{i}.jpg" for i in range(len(labels))],
        labels=labels,
        boxes=np.zeros((len(labels), 4), np.float32),
        sizes=np.full((len(labels), 2), 9, np.int32),
        files=nothing,
        offsets=nothing,
        store=None,
    )
    return ClassificationTask(recipe, split, 5)


def test_an_epoch_shows_every_photo_of_a_known_landmark_once():
    tuples = make_task().draw(0, None)
    assert tuples.shape == (make_task().num_tuples, 1) == (7, 1)
    assert set(tuples.ravel()) == {0, 1, 3, 4, 5, 6, 8}


def test_the_order_depends_on_seed_and_epoch_only():
    def draw(seed, epoch):
        return make_task(seed=seed).draw(epoch, None)

    np.testing.assert_array_equal(draw(1, 2), draw(1, 2))
    assert (draw(1, 2) != draw(1, 3)).any()
    assert (draw(1, 2) != draw(2, 2)).any()


def test_landmarks_are_classes_in_the_order_of_their_labels():
    task = make_task()
    known = task.draw(0, None).ravel()
    classes = dict(zip(LABELS[known], task.split.labels[known], strict=True))
    assert classes == {7: 0, 12: 1, 40: 2, 900: 3}
    (kernel,) = task.variables
    assert kernel.path == "classifier/kernel"
    assert tuple(kernel.shape) == (4, 5)


def loss_of(task, classes, descriptors):
    outputs = {"descriptors": tf.constant(descriptors)}
    return float(task.loss(outputs, {"landmark": tf.constant(classes)}))


def test_a_batch_costs_the_sum_of_its_photos():
    task = make_task()
    generator = np.random.default_rng(2)
    descriptors = generator.normal(size=(6, 1, 5)).astype("float32")
    classes = np.array([[3], [0], [1], [3], [2], [0]], np.int32)
    alone = [
        loss_of(task, c[None], d[None])
        for c, d in zip(classes, descriptors, strict=True)
    ]
    assert len({*alone}) == 6
    together = loss_of(task, classes, descriptors)
    assert together == pytest.approx(sum(alone), rel=1e-5)


def test_a_single_landmark_is_refused():
    with pytest.raises(UserError, match=r"photos of 1 known landmark"):
        make_task(np.array([4, 4, 4, -1]))


def test_arcface_learns_and_reports_retrieval(undisturbed):
    rows = history(undisturbed)
    assert len(rows) == EPOCHS
    assert rows[-1]["train_loss"] < 0.85 * rows[0]["train_loss"]
    for row in rows:
        assert 0 < row["validation_map"] <= 1
        assert "validation_loss" not in row


def test_the_classifier_is_not_part_of_the_final_model(undisturbed):
    best = keras.saving.load_model(undisturbed / "best.keras", compile=False)
    shapes = [value.shape for value in checkpoint(undisturbed, 1).values()]
    classifier = (5, best.dimension)
    # The weights and the two moments of Adam.
    assert shapes.count(classifier) == 3
    assert classifier not in [tuple(weight.shape) for weight in best.weights]
    exported = tf.saved_model.load(str(undisturbed / "saved_model"))
    assert len(exported.variables) == len(best.variables)


def test_softmax_learns_from_photos_of_any_shape(recipe, tmp_path):
    shallow(recipe, "softmax")
    recipe.image.resize = "aspect"
    recipe.loss.options = {"scale": 8.0}
    recipe.training.epochs = 2
    recipe.optimizer.rules.insert(0, config.OptimizerRule("classifier/*", 5.0))
    job.run_recipe(recipe, tmp_path)
    rows = history(tmp_path)
    assert rows[1]["train_loss"] < rows[0]["train_loss"]
    assert 0 < rows[1]["validation_map"] <= 1


def test_sub_centres_learn(recipe, tmp_path):
    recipe.loss.classifier_options = {"num_centres": 3}
    recipe.loss.options = {"label_smoothing": 0.1}
    recipe.training.epochs = 2
    job.run_recipe(recipe, tmp_path)
    rows = history(tmp_path)
    assert rows[1]["train_loss"] < rows[0]["train_loss"]
    shapes = [
        value.shape[0]
        for value in checkpoint(tmp_path, 1).values()
        if value.ndim == 2
    ]
    assert shapes.count(3 * 5) == 3  # And Adam's moments.


def test_a_killed_run_ends_with_the_bits_of_an_undisturbed_one(
    recipe, undisturbed, runs
):
    saved = list((runs["killed"] / "checkpoints").glob("*.index"))
    assert 3 <= len(saved) < 3 * EPOCHS
    job.run_recipe(recipe, runs["killed"])
    check_equal(undisturbed, runs["killed"])


def test_sigterm_saves_inside_an_epoch(
    recipe, undisturbed, tmp_path, run_until_sigterm
):
    assert run_until_sigterm(recipe, tmp_path) == preemption.STATUS
    job.run_recipe(recipe, tmp_path)
    check_equal(undisturbed, tmp_path)


def test_two_replicas_learn_as_one_device_does(undisturbed, runs):
    replicas = runs["mirrored"]
    rows = list(zip(history(undisturbed), history(replicas), strict=True))
    for row, other in rows:
        assert other["train_loss"] == pytest.approx(row["train_loss"], rel=1e-3)
        assert other["learning_rate"] == row["learning_rate"]
        # Rounding may change places in two of the nine rankings, each of
        # which moves the mean by at most 0.375 / 9.
        assert other["validation_map"] == pytest.approx(
            row["validation_map"], abs=0.085
        )
    # After one step: Adam's moments show the scale of the gradients.
    ours, theirs = (
        checkpoint(each, 0, step=1) for each in (undisturbed, replicas)
    )
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        difference = np.linalg.norm(theirs[name] - value)
        assert difference <= 1e-4 * np.linalg.norm(value), name


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (["training.select_best=validation_loss"], "use validation_map"),
        (["mining.num_negatives=5"], "leave it out"),
        (["loss.options={'margn': 1}"], "loss can't be built"),
        (["loss.options={'margin': 3.0}"], "margin=3.0"),
        (["loss.classifier_options={'centres': 3}"], "classifier can't be"),
        (
            ["loss.name=triplet", "loss.classifier_options={'num_centres': 3}"],
            "loss triplet has no classifier",
        ),
        (["training.batch_tuples=16"], "15 tuples or single photos"),
        (
            ["optimizer.rules=[{'pattern': '*_conv*'}, {'pattern': 'pool*'}]"],
            "covers classifier/kernel",
        ),
    ],
)
def test_a_recipe_that_cannot_run_says_why(
    recipe, tmp_path, assignments, message
):
    with pytest.raises(UserError, match=message):
        job.run_recipe(
            loading.override_recipe(recipe, assignments), tmp_path / "run"
        )


def test_mining_is_left_out_by_an_empty_section(recipe):
    loading.override_recipe(recipe, ["mining.pool_size=7", "mining={}"])
    assert config.validate(recipe).mining == config.MiningConfig()


def test_numbers_that_are_not_finite_stop_the_run(recipe, tmp_path):
    shallow(recipe, "softmax")
    recipe.loss.options = {"scale": 1e6}
    recipe.optimizer.rules = [
        config.OptimizerRule("classifier/*", 1e38),
        config.OptimizerRule("*", 0.0),
    ]
    with pytest.raises(UserError, match="Step 2 of epoch 1 .* first in: loss"):
        job.run_recipe(recipe, tmp_path)

"""A damaged checkpoint costs one checkpoint, not the run."""

import resource
import shutil

import keras
import numpy as np
import pytest

from agem_tf.config import OptimizerConfig, OptimizerRule
from agem_tf.datasets.prepared import Split
from agem_tf.errors import UserError
from agem_tf.training.checkpoints import RunState
from agem_tf.training.optimizers import RuleOptimizer

TUPLES = np.arange(12).reshape(3, 4)


def make_split(fingerprint="abc"):
    nothing = np.zeros(0, np.int64)
    return Split("train", [], *[nothing] * 5, None, fingerprint=fingerprint)


def make_state(workdir, units=3, keep=2):
    """A network with a layer of `units`; all weights are zero."""
    model = keras.Sequential(
        [keras.layers.Input((2,)), keras.layers.Dense(units, name="head")]
    )
    model.set_weights([np.zeros_like(value) for value in model.get_weights()])
    rules = [OptimizerRule("*")]
    optimizer = RuleOptimizer(
        OptimizerConfig(rules=rules), model.trainable_variables
    )
    state = RunState(workdir, model.variables, optimizer, keep)
    return state, model


def save_steps(workdir, steps):
    """Checkpoints in which every weight is the number of the step."""
    state, model = make_state(workdir)
    state.begin_epoch(TUPLES, make_split())
    for step in steps:
        model.set_weights(
            [np.full_like(value, step) for value in model.get_weights()]
        )
        state.progress.step, state.progress.loss = step, step / 3
        state.save()


def restore(workdir):
    state, model = make_state(workdir)
    state.restore()
    weights = {float(w) for value in model.get_weights() for w in value.flat}
    return state, weights


def newest(workdir, suffix):
    return max(
        (workdir / "checkpoints").glob(f"ckpt-*{suffix}"),
        key=lambda path: int(path.name.split("-")[1].split(".")[0]),
    )


def truncate(path):
    path.write_bytes(path.read_bytes()[:-20])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 16
    path.write_bytes(content)


def test_a_restored_state_equals_the_saved_one(tmp_path):
    save_steps(tmp_path, [1, 2, 3])
    state, weights = restore(tmp_path)
    assert weights == {3.0}
    assert state.progress.step == 3 and state.progress.loss == 1.0
    np.testing.assert_array_equal(state.tuples, TUPLES)
    assert state.has_tuples_of(make_split())
    assert not state.has_tuples_of(make_split("of fewer photos"))
    state.end_epoch({"train_loss": 0.1})
    state.save()
    again, _ = restore(tmp_path)
    assert again.progress.epoch == 1 and again.progress.step == 0
    assert again.progress.history == [{"train_loss": 0.1}]
    assert not again.has_tuples_of(make_split())


@pytest.mark.parametrize("damage", [truncate, flip, lambda path: path.unlink()])
@pytest.mark.parametrize("suffix", [".data-00000-of-00001", ".index"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    tmp_path, caplog, damage, suffix
):
    save_steps(tmp_path, [1, 2, 3])
    damage(newest(tmp_path, suffix))
    state, weights = restore(tmp_path)
    assert weights == {2.0} and state.progress.step == 2
    gone = suffix == ".index" and not newest(tmp_path, suffix).match("*-3.*")
    assert gone or "ckpt-3 is damaged" in caplog.text
    state.progress.step = 9
    state.save()
    assert restore(tmp_path)[0].progress.step == 9


@pytest.mark.parametrize("content", [None, b"", b"\0\0\0", b"model_check"])
def test_the_list_of_checkpoints_is_not_needed(tmp_path, content):
    save_steps(tmp_path, [1, 2, 3])
    path = tmp_path / "checkpoints" / "checkpoint"
    path.unlink() if content is None else path.write_bytes(content)
    assert restore(tmp_path)[1] == {3.0}


def test_damage_to_all_checkpoints_is_an_error(tmp_path):
    save_steps(tmp_path, [1, 2])
    for path in (tmp_path / "checkpoints").glob("*.data*"):
        truncate(path)
    with pytest.raises(UserError, match="All checkpoints in .* are damaged"):
        restore(tmp_path)


def test_the_checkpoint_of_another_network_is_refused(tmp_path):
    save_steps(tmp_path, [1])
    state, _ = make_state(tmp_path, units=5)
    with pytest.raises(UserError, match="does not fit this recipe"):
        state.restore()


def test_old_checkpoints_and_leftovers_of_killed_saves_are_removed(tmp_path):
    save_steps(tmp_path, range(7))
    directory = tmp_path / "checkpoints"
    assert len(list(directory.iterdir())) == 5
    data = newest(tmp_path, ".data-00000-of-00001")
    (directory / "ckpt-8_temp").mkdir()
    shutil.copy(data, directory / "ckpt-8_temp" / "part-00000-of-00001.data")
    shutil.copy(data, directory / "ckpt-8.data-00000-of-00001")
    state, _ = restore(tmp_path)
    state.save()
    left = {path.name.partition(".")[0] for path in directory.iterdir()}
    assert left == {"checkpoint", "ckpt-7", "ckpt-8"}


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path):
    save_steps(tmp_path, [1])
    state, _ = restore(tmp_path)
    state.tuples = np.zeros((1000, 70), np.int64)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(UserError, match="No checkpoint can be written to"):
            state.save()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    left = {path.stem for path in (tmp_path / "checkpoints").iterdir()}
    assert left == {"ckpt-1"}
    assert restore(tmp_path)[1] == {1.0}

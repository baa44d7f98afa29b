"""Two replicas train like one device."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from agem_tf.training import runs

# One strategy a process: strategies of different sizes disturb each other.
SCRIPT = """
import sys
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * 2
)
from agem_tf import recipes, train
config_path, workdir, strategy = sys.argv[1:]
train.main(recipes.load(config_path), workdir, strategy)
"""


def train(recipe_file, workdir, strategy):
    command = [sys.executable, "-c", SCRIPT, recipe_file, workdir, strategy]
    result = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        timeout=600,
    )
    return result


def read_moments(workdir):
    path = tf.train.latest_checkpoint(str(workdir / "checkpoints"))
    reader = tf.train.load_checkpoint(path)
    return {
        name: reader.get_tensor(name)
        for name in reader.get_variable_to_shape_map()
        if name.startswith("optimizer/")
        and reader.get_variable_to_dtype_map()[name] == tf.float32
    }


def test_mirrored_equals_one_device(recipe_file, tmp_path):
    histories, weights = [], []
    for strategy in ("one", "mirrored"):
        result = train(recipe_file, tmp_path / strategy, strategy)
        assert result.returncode == 0, result.stderr
        text = (tmp_path / strategy / "history.json").read_text()
        histories.append(json.loads(text))
        model = runs.load_model(tmp_path / strategy / runs.BEST_MODEL)
        weights.append(model.get_weights())
    for one, two in zip(*histories, strict=True):
        for key in ("train_loss", "validation_loss", "validation_map", "p"):
            assert one[key] == pytest.approx(two[key], rel=1e-3), key
    for one, two in zip(*weights, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-2, atol=1e-4)
    # Adam's steps hide the gradient's scale, its moments do not.
    moments = [read_moments(tmp_path / name) for name in ("one", "mirrored")]
    assert moments[0].keys() == moments[1].keys()
    norms = [
        np.sqrt(sum(np.square(value).sum() for value in group.values()))
        for group in moments
    ]
    assert norms[0] == pytest.approx(norms[1], rel=1e-2)


def test_a_batch_that_does_not_divide_is_refused(recipe_file, tmp_path):
    text = recipe_file.read_text()
    recipe_file.write_text(text.replace('"batch_size": 4', '"batch_size": 5'))
    result = train(recipe_file, tmp_path / "run", "mirrored")
    assert "batch_size=5 does not divide among 2 replicas" in result.stderr

"""The same numbers on Keras' JAX backend, and without TensorFlow.

Keras chooses its backend when it is imported, so the other one runs in a
process of its own: this file, as a script.
"""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from agem_tf import losses

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]


def _values():
    """Returns every layer's and loss's results and gradients, by name.

    The last image is empty.
    """
    contract = runpy.run_path(FOLDER / "test_contract.py")
    shared = runpy.run_path(FOLDER / "conftest.py")
    values = {}
    for name, create in contract["LAYERS"].items():
        x = contract["example_inputs"](name)
        x[-1] = 0.0
        layer = create()
        layer.build(x.shape)
        shared["randomize_weights"](layer)
        outputs, (gradient, *_) = shared["evaluate"](layer, x)
        values |= {name: outputs, f"{name} gradient": gradient}
    x = np.random.default_rng(16).normal(size=(3, 5, 4)).astype("float32")
    for loss in (losses.ContrastiveLoss(3.0), losses.TripletLoss(3.0)):
        values[loss.name] = np.asarray(
            loss(np.array([[-1, 1, 1, 0, 0]] * 3), x)
        )
    batch_hard = losses.BatchHardTripletLoss()
    values[batch_hard.name] = np.asarray(
        batch_hard(np.arange(15) // 3, x.reshape(15, 4))
    )
    cosines = np.clip(x.reshape(15, 4), -1, 1)
    for loss in (losses.ArcFaceLoss(0.5), losses.SoftmaxLoss()):
        values[loss.name] = np.asarray(loss(np.arange(15) % 4, cosines))
    return values


def _run_on_jax(*arguments):
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "KERAS_BACKEND": "jax",
        "PYTHONPATH": str(ROOT),
        # Compiling takes longer than everything else here.
        "XLA_FLAGS": "--xla_backend_optimization_level=0",
    }
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        cwd=ROOT,
        env=environment,
        text=True,
    )


def test_layers_and_losses_give_the_same_numbers(tmp_path):
    pytest.importorskip("jax")
    done = _run_on_jax(__file__, tmp_path / "values.npz")
    assert done.returncode == 0, done.stderr
    found, expected = np.load(tmp_path / "values.npz"), _values()
    assert found.files == list(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(
            found[name], value, rtol=1e-4, atol=1e-5, err_msg=name
        )


def test_layers_losses_and_ops_import_without_tensorflow():
    pytest.importorskip("jax")
    done = _run_on_jax(
        "-c",
        "import sys, agem_tf.layers, agem_tf.losses, agem_tf.ops;"
        "sys.exit('tensorflow' in sys.modules)",
    )
    assert done.returncode == 0, done.stderr


if __name__ == "__main__":
    np.savez(sys.argv[1], **_values())

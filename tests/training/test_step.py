"""The training step runs any network and any loss."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from agem_tf.config import OptimizerConfig, OptimizerRule
from agem_tf.training.optimizers import RuleOptimizer
from agem_tf.training.step import TrainingStep

PHOTOS = np.array([[1.0, 2.0], [3.0, 5.0], [4.0, 1.0]], np.float32)
TARGETS = np.array([0.5, -1.0, 2.0], np.float32)


def make_step():
    """A linear network with two outputs, and a loss that takes one of them."""
    dense = keras.layers.Dense(1, use_bias=False, name="head")
    dense.build((None, 2))
    dense.kernel.assign([[0.25], [0.5]])
    optimizer = RuleOptimizer(
        OptimizerConfig(0.01, 0.0, [OptimizerRule("*")]),
        dense.trainable_variables,
    )

    def network(batch):
        return {"points": dense(batch["image"])[:, 0], "scores": batch["image"]}

    def loss(outputs, batch):
        return tf.reduce_sum((outputs["points"] - batch["target"]) ** 2)

    strategy = tf.distribute.get_strategy()
    return TrainingStep([network], loss, optimizer, strategy), dense


def run(step, photos, count, loss=0.0, stop=False):
    batches = tf.data.Dataset.from_tensor_slices(
        {"image": photos[:, np.newaxis], "target": TARGETS[:, np.newaxis]}
    )
    return step.run(
        iter(batches),
        tf.constant(count),
        tf.constant(loss),
        tf.constant(stop),
    )


def test_steps_add_their_losses_and_move_the_weights():
    step, dense = make_step()
    result = run(step, PHOTOS, 1, loss=10.0)
    # 0.25 + 2 * 0.5 = 1.25 instead of 0.5.
    assert float(result.loss) == pytest.approx(10 + 0.75**2)
    assert int(result.steps) == 1 and not result.faults.numpy().any()
    # Adam's first step has the length of the learning rate.
    moved = dense.kernel.numpy().ravel() - [0.25, 0.5]
    np.testing.assert_allclose(moved, [-0.01, -0.01], rtol=1e-3)
    assert int(run(step, PHOTOS, 3).steps) == 3


def test_a_request_to_stop_comes_back_with_the_result():
    step, _ = make_step()
    assert not bool(run(step, PHOTOS, 1).stop)
    result = run(step, PHOTOS, 2, stop=True)
    assert bool(result.stop) and int(result.steps) == 2


def test_a_fault_ends_the_call_and_is_named():
    step, _ = make_step()
    photos = PHOTOS.copy()
    photos[1, 0] = np.inf
    result = run(step, photos, 3)
    assert int(result.steps) == 2
    assert step.quantities == [
        "outputs of the network",
        "loss",
        "gradient of head/kernel",
    ]
    np.testing.assert_array_equal(result.faults, [1, 1, 1])


class RecordedGradients:
    """An optimizer that keeps the gradients."""

    def __init__(self, variables):
        self.trainable_variables = variables
        self.loss_scale = tf.constant(1.0)

    def apply(self, gradients):
        self.gradients = [tf.convert_to_tensor(each) for each in gradients]
        return tf.constant(0.0)


def gradients_of(parts, batch):
    """Gradients of a non-linear float64 network, and what the step returns."""
    network = keras.Sequential(
        [
            keras.layers.Dense(4, "tanh", dtype="float64"),
            keras.layers.Dense(3, dtype="float64"),
        ]
    )
    network.build((None, 2))
    rng = np.random.default_rng(1)
    for weight in network.weights:
        weight.assign(rng.normal(size=weight.shape))
    recorded = RecordedGradients(network.trainable_variables)
    step = TrainingStep(
        [lambda batch: {"points": network(batch["image"])}],
        lambda outputs, batch: tf.reduce_sum(
            (outputs["points"] - batch["target"]) ** 2 * outputs["points"]
        ),
        recorded,
        tf.distribute.get_strategy(),
        parts=parts,
    )
    loss, _, faults = step.replica_step(batch)
    return recorded.gradients, float(loss), faults.numpy()


def test_five_parts_give_the_gradients_of_one_step():
    rng = np.random.default_rng(0)
    batch = {
        "image": tf.constant(rng.normal(size=(5, 2))),
        "target": tf.constant(rng.normal(size=(5, 3))),
    }
    whole, loss, _ = gradients_of(1, batch)
    summed, loss_of_parts, faults = gradients_of(5, batch)
    assert loss_of_parts == pytest.approx(loss, rel=1e-6)
    assert not faults.any()
    for one, other in zip(whole, summed, strict=True):
        assert one.dtype == other.dtype == tf.float64
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


def test_a_fault_in_one_part_is_found():
    image = np.ones((4, 2))
    image[2, 0] = np.nan
    batch = {
        "image": tf.constant(image),
        "target": tf.constant(np.zeros((4, 3))),
    }
    _, _, faults = gradients_of(2, batch)
    assert faults[0] == faults[1] == 1


def test_deterministic_kernels_allow_the_step():
    """They are switched on for a whole process, and refuse tf.timestamp()."""
    code = """
import numpy as np, tensorflow as tf
from agem_tf.config import OptimizerConfig, OptimizerRule
from agem_tf.training.optimizers import RuleOptimizer
from agem_tf.training.step import TrainingStep, host_clock
import keras
tf.config.experimental.enable_op_determinism()
keras.utils.set_random_seed(0)
dense = keras.layers.Dense(1)
dense.build((None, 2))
rules = OptimizerConfig(0.01, 0.0, [OptimizerRule("*")])
step = TrainingStep(
    [lambda batch: {"points": dense(batch["image"])}],
    lambda outputs, batch: tf.reduce_sum(outputs["points"]),
    RuleOptimizer(rules, dense.trainable_variables),
    tf.distribute.get_strategy(),
    clock=host_clock,
)
photos = {"image": np.ones((2, 1, 2), np.float32)}
batches = iter(tf.data.Dataset.from_tensor_slices(photos))
result = step.run(
    batches, tf.constant(2), tf.constant(0.0), tf.constant(False)
)
assert int(result.steps) == 2 and float(result.waited) >= 0
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]

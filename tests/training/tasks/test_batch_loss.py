"""Losses across a batch are the same on several replicas as on one device."""

import subprocess
import sys

import pytest

CODE = """
import sys
import numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * 2
)
from agem_tf.config import Config, LossConfig
from agem_tf.training.tasks.tuples import TupleLoss

loss = TupleLoss(Config(loss=LossConfig(sys.argv[1])))
generator = np.random.default_rng(5)
tuples = generator.normal(size=(4, 4, 6)).astype("float32")
tuples /= np.linalg.norm(tuples, axis=-1, keepdims=True)
landmarks = generator.integers(0, 4, size=(4, 4))

def step(x, landmark):
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = loss({"descriptors": x}, {"landmark": landmark})
    return value, tape.gradient(value, x)

one, slopes = step(tf.constant(tuples), tf.constant(landmarks))
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])

def halves(values):
    return strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(
            np.split(values, 2)[context.replica_id_in_sync_group]
        )
    )

shares, parts = tf.function(
    lambda x, landmark: strategy.run(step, args=(x, landmark))
)(halves(tuples), halves(landmarks))
total = sum(strategy.experimental_local_results(shares))
np.testing.assert_allclose(total, one, rtol=1e-5)
# The gather sums the slopes of all replicas, each of half the loss.
joined = np.concatenate(strategy.experimental_local_results(parts))
np.testing.assert_allclose(joined, slopes, rtol=1e-3, atol=1e-5)
assert float(one) > 1
"""


@pytest.mark.parametrize("name", ["batch_hard_triplet", "smooth_ap"])
def test_two_replicas_have_loss_and_gradients_of_one_device(name):
    done = subprocess.run(
        [sys.executable, "-c", CODE, name], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]

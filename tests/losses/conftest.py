"""Helpers of the loss tests, for every Keras backend."""

import keras
import numpy as np
import pytest


def _tensorflow_gradient(function, x):
    import tensorflow as tf

    x = tf.convert_to_tensor(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = function(x)
    return tape.gradient(value, x)


def _jax_gradient(function, x):
    import jax

    return jax.grad(function)(x)


@pytest.fixture(scope="session")
def gradient():
    """Function from a scalar function and an array to a float32 gradient."""
    backends = {"tensorflow": _tensorflow_gradient, "jax": _jax_gradient}
    compute = backends[keras.backend.backend()]

    def as_array(function, x):
        return np.asarray(keras.ops.cast(compute(function, x), "float32"))

    return as_array


@pytest.fixture
def batch():
    """Roles (4, 6) and unit descriptors (4, 6, 5) of very different tuples."""
    generator = np.random.default_rng(15)
    x = generator.normal(size=(4, 6, 5)) + generator.normal(size=(4, 1, 5))
    x /= np.linalg.norm(x, axis=-1, keepdims=True)
    roles = np.array(
        [
            [-1, 1, 0, 0, 0, 0],
            [-1, 1, 1, 0, 0, 0],
            [-1, 0, 0, 1, 0, 1],
            [-1, 1, 0, 0, 0, 0],
        ]
    )
    return roles, x.astype("float32")


@pytest.fixture
def published_tuple():
    """Roles and descriptors of the tuple whose losses are published."""
    x = [[[1.0, 0.0], [0.8, 0.6], [0.6, 0.8], [0.0, 1.0]]]
    return np.array([[-1, 1, 0, 0]]), np.array(x, "float32")

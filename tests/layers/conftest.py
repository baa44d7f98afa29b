"""Helpers of the layer tests, for every Keras backend."""

import keras
import numpy as np
import pytest


def _evaluate_on_tensorflow(layer, x):
    import tensorflow as tf

    x = tf.convert_to_tensor(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = layer(x)
        total = keras.ops.sum(keras.ops.cast(outputs, "float32"))
    variables = [v.value for v in layer.trainable_variables]
    return outputs, tape.gradient(total, [x, *variables])


def _evaluate_on_jax(layer, x):
    import jax

    def total(x, trainable):
        frozen = [v.value for v in layer.non_trainable_variables]
        outputs, _ = layer.stateless_call(trainable, frozen, x)
        return keras.ops.sum(keras.ops.cast(outputs, "float32")), outputs

    variables = [v.value for v in layer.trainable_variables]
    compute = jax.jit(jax.grad(total, argnums=(0, 1), has_aux=True))
    (of_x, of_variables), outputs = compute(x, variables)
    return outputs, [of_x, *of_variables]


def evaluate(layer, x):
    """Returns a built layer's outputs and the gradients of their sum.

    The gradients are with respect to the input, then to every trainable
    variable that the outputs depend on. All are float32 arrays.
    """
    backends = {
        "tensorflow": _evaluate_on_tensorflow,
        "jax": _evaluate_on_jax,
    }
    outputs, gradients = backends[keras.backend.backend()](layer, x)
    arrays = [
        np.asarray(keras.ops.cast(tensor, "float32"))
        for tensor in (outputs, *gradients)
        if tensor is not None
    ]
    return arrays[0], arrays[1:]


def randomize_weights(layer):
    """Assigns reproducible random values to all weights of a layer.

    Kernels keep the scale of their input; the others are in (0.5, 1.5).
    """
    generator = np.random.default_rng(0)
    for weight in layer.weights:
        shape = tuple(weight.shape)
        if len(shape) > 1:
            value = generator.normal(size=shape)
            weight.assign(value / np.sqrt(np.prod(shape[:-1])))
        else:
            weight.assign(generator.uniform(0.5, 1.5, shape))


@pytest.fixture(scope="session")
def gradients():
    """Function from a built layer and its input to gradients."""
    return lambda layer, x: evaluate(layer, x)[1]


@pytest.fixture(scope="session")
def randomize():
    """The function `randomize_weights`."""
    return randomize_weights

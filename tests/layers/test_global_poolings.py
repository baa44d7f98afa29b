"""GeM's exponent: its name, shape, gradient and precision."""

import keras
import numpy as np
import pytest

from agem_tf.layers import GeM


def test_default_is_the_published_cubic_mean():
    x = np.reshape([0.0, 1.0, 2.0, 3.0], (1, 2, 2, 1)).astype("float32")
    np.testing.assert_allclose(GeM()(x), [[2.0800838]], rtol=1e-6)


@pytest.mark.parametrize("per_channel, shape", [(False, ()), (True, (5,))])
def test_exponent_is_one_trainable_variable_named_p(per_channel, shape):
    layer = GeM(p=2.5, per_channel=per_channel)
    layer.build((None, None, None, 5))
    (variable,) = layer.trainable_variables
    assert variable.name == "p"
    np.testing.assert_allclose(variable, np.full(shape, 2.5))


def test_gradients_equal_finite_differences(gradients):
    x = np.random.default_rng(6).uniform(0.1, 4, (2, 3, 4, 5))
    p = np.array([1.0, 2.0, 3.0, 4.0, 5.0])

    def total(x, p):
        return ((x**p).mean((1, 2)) ** (1 / p)).sum()

    layer = GeM(per_channel=True)
    layer.build(x.shape)
    layer.trainable_variables[0].assign(p)
    of_x, of_p = gradients(layer, x.astype("float32"))
    step = 1e-6
    for channel in range(5):
        change = step * np.eye(5)[channel]
        slope = (total(x, p + change) - total(x, p - change)) / (2 * step)
        assert of_p[channel] == pytest.approx(slope, rel=1e-3, abs=1e-4)
        change = np.zeros_like(x)
        change[1, 2, 3, channel] = step
        slope = (total(x + change, p) - total(x - change, p)) / (2 * step)
        assert of_x[1, 2, 3, channel] == pytest.approx(slope, rel=1e-3)


def test_half_precision_does_not_round_the_exponent():
    """In bfloat16 0.501 is 0.5, which changes this mean by 3 percent."""
    x = np.full((1, 32, 32, 1), 1e-6, "float32")
    x[0, 5, 7, 0] = 100.0
    expected = (x.astype("float64") ** 0.501).mean() ** (1 / 0.501)
    result = GeM(p=0.501, dtype="mixed_bfloat16")(x)
    result = keras.ops.cast(result, "float32")
    np.testing.assert_allclose(result, [[expected]], rtol=8e-3)

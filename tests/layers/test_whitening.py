"""What the whitening layer computes and how its weights are set."""

import numpy as np
import pytest

from agem_tf.layers import Whitening


def _learned(dimension=3, inputs=5):
    generator = np.random.default_rng(12)
    return generator.random(inputs), generator.normal(size=(dimension, inputs))


@pytest.mark.parametrize("dimension", [3, 2])
def test_layer_set_from_a_whitening_projects_centred_descriptors(dimension):
    mean, projection = _learned()
    x = np.random.default_rng(13).normal(size=(7, 5)).astype("float32")
    layer = Whitening(dimension)
    layer.set_from(mean, projection)
    expected = (x - mean) @ projection[:dimension].T
    np.testing.assert_allclose(layer(x), expected, rtol=1e-4, atol=1e-5)


def test_layer_of_a_projection_is_built_with_its_weights():
    mean, projection = _learned()
    x = np.random.default_rng(13).normal(size=(7, 5)).astype("float32")
    layer = Whitening.from_projection(mean, projection, name="whitening")
    assert [tuple(v.shape) for v in layer.weights] == [(5, 3), (3,)]
    expected = (x - mean) @ projection.T
    np.testing.assert_allclose(layer(x), expected, rtol=1e-5, atol=1e-6)


def test_kernel_and_bias_are_trainable():
    layer = Whitening(3)
    layer.build((None, 5))
    shapes = {v.name: tuple(v.shape) for v in layer.trainable_variables}
    assert shapes == {"kernel": (5, 3), "bias": (3,)}


def test_half_precision_keeps_small_differences_from_the_mean():
    """A float16 bias would be -1000.5 and leave nothing."""
    mean, projection = np.full(5, 1000.3), np.eye(5)
    layer = Whitening(5, dtype="mixed_float16")
    layer.set_from(mean, projection)
    x = np.full((1, 5), 1000.5, "float32")
    np.testing.assert_allclose(layer(x), np.full((1, 5), 0.2), rtol=2e-3)


def test_wrong_shapes_are_refused():
    mean, projection = _learned()
    with pytest.raises(ValueError, match=r"projection.shape=\(3, 5\)"):
        Whitening(4).set_from(mean, projection)
    with pytest.raises(ValueError, match=r"mean.shape=\(4,\)"):
        Whitening(3).set_from(mean[:4], projection)

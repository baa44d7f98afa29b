"""Regional aggregation against a loop over regions."""

import numpy as np
import pytest

from agem_tf.layers import RMAC, GeM, L2Normalization, Regional, Whitening
from agem_tf.ops import rmac_regions


def _features(shape):
    values = np.random.default_rng(10).normal(size=shape)
    return np.maximum(values, 0).astype("float32")


def _unit(x):
    return x / (np.linalg.norm(x, axis=-1, keepdims=True) + 1e-6)


def _crops(x, levels):
    yield x
    for row, column, size in rmac_regions(*x.shape[1:3], levels):
        yield x[:, row : row + size, column : column + size]


@pytest.mark.parametrize("sides", [(8, 12), (11, 4)])
def test_regional_gem_equals_a_loop(sides):
    x = _features((3, *sides, 5))
    layer = Regional(GeM(p=2.5), levels=3)
    expected = 0
    for crop in _crops(x.astype("float64"), 3):
        powers = np.maximum(crop, 1e-6) ** 2.5
        expected = expected + _unit(powers.mean((1, 2)) ** (1 / 2.5))
    np.testing.assert_allclose(layer(x), _unit(expected), rtol=1e-4)


def test_regions_are_whitened_before_the_sum():
    x = _features((2, 8, 12, 5))
    generator = np.random.default_rng(11)
    mean, projection = generator.random(5), generator.normal(size=(4, 5))
    layer = Regional(GeM(p=1.0), levels=2, whitening=Whitening(4))
    layer.build(x.shape)
    layer.whitening.set_from(mean, projection)
    expected = 0
    for crop in _crops(x.astype("float64"), 2):
        pooled = _unit(np.maximum(crop, 1e-6).mean((1, 2)))
        expected = expected + _unit((pooled - mean) @ projection.T)
    np.testing.assert_allclose(layer(x), _unit(expected), rtol=1e-4, atol=1e-6)


def test_regions_share_the_exponent_of_the_pooling():
    layer = Regional(GeM())
    layer.build((None, None, None, 5))
    assert [v.name for v in layer.trainable_variables] == ["p"]


def test_rmac_is_the_regional_limit_of_large_exponents():
    x = _features((2, 9, 14, 5))
    regional = Regional(GeM(p=2000.0))(x)
    np.testing.assert_allclose(
        L2Normalization()(RMAC()(x)), regional, rtol=1e-2, atol=1e-3
    )

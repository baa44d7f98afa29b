"""L2 normalization: values, dtypes and the zero vector."""

import keras
import numpy as np
import pytest

from agem_tf.ops import l2_normalize


def test_divides_by_the_norm_plus_epsilon():
    x = np.array([[3.0, 4.0], [0.0, 0.0]], "float32")
    expected = [[3 / 5.5, 4 / 5.5], [0, 0]]
    np.testing.assert_allclose(l2_normalize(x, epsilon=0.5), expected, 1e-6)


def test_normalizes_over_several_axes():
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype("float32")
    norms = np.sqrt((x.astype("float64") ** 2).sum((1, 2), keepdims=True))
    np.testing.assert_allclose(
        l2_normalize(x, axis=(1, 2)), x / (norms + 1e-6), rtol=1e-5
    )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("scale", [1e-4, 3e4])
def test_half_precision_neither_overflows_nor_underflows(dtype, scale):
    x = keras.ops.cast([[3 * scale / 5, 4 * scale / 5]], dtype)
    result = l2_normalize(x)
    assert keras.backend.standardize_dtype(result.dtype) == dtype
    np.testing.assert_allclose(
        keras.ops.cast(result, "float32"), [[0.6, 0.8]], rtol=2e-2
    )

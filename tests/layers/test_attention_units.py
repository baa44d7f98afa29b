"""The attention units of the AGeM paper: sizes, alignment, initial scores."""

import numpy as np
import pytest

from agem_tf.layers import DownsamplingAttention, PointwiseAttention


def _features(shape=(2, 7, 10, 6)):
    values = np.random.default_rng(8).normal(size=shape)
    return np.maximum(values, 0).astype("float32")


def _count(layer):
    return sum(np.prod(v.shape) for v in layer.trainable_variables)


def test_units_have_the_published_number_of_parameters():
    downsampling = DownsamplingAttention(2048)
    downsampling.build((None, None, None, 1024))
    pointwise = PointwiseAttention()
    pointwise.build((None, None, None, 2048))
    kernels = [v for v in downsampling.trainable_variables if v.ndim == 4]
    assert sum(np.prod(v.shape) for v in kernels) == 15_466_496
    assert [v.shape[-1] for v in kernels] == [1024, 512, 512, 2048]
    assert _count(downsampling) == 15_466_496 + 4_096 + 2_048
    assert _count(pointwise) == 4_196_352
    assert _count(downsampling) + 2 * _count(pointwise) == 23_865_344


@pytest.mark.parametrize(
    "unit", [DownsamplingAttention(8), PointwiseAttention()]
)
def test_untrained_scores_are_the_sigmoid_of_the_bias(unit):
    expected = 1 / (1 + np.exp(-4.0))
    for scores in (unit(_features()), unit.attention(_features())):
        np.testing.assert_allclose(scores, np.full(scores.shape, expected))


def test_initial_bias_is_adjustable():
    scores = PointwiseAttention(initial_bias=0.0)(_features())
    np.testing.assert_array_equal(scores, np.full((2, 7, 10, 6), 0.5))


def test_pointwise_attention_equals_its_definition(randomize):
    x = _features() - 1
    layer = PointwiseAttention()
    layer.build(x.shape)
    randomize(layer)
    kernel, bias = layer.get_weights()
    expected = 1 / (1 + np.exp(-(x @ kernel[0, 0] + bias)))
    np.testing.assert_allclose(layer(x), expected, rtol=1e-5)


@pytest.mark.parametrize("side", [6, 7])
def test_downsampling_attention_centres_on_every_second_position(side):
    """An impulse at 2i reaches the first convolution's output i the most."""
    layer = DownsamplingAttention(4, batch_norm="frozen_statistics")
    layer.build((None, side, side, 1))
    first, *_ = layer.trainable_variables
    centre = np.zeros(first.shape)
    centre[1, 1] = 1.0
    first.assign(centre)
    x = np.zeros((1, side, side, 1), "float32")
    x[0, 2, 4] = 1.0
    for step in layer.steps[:4]:
        x = step(x)
    rows, columns, _ = np.nonzero(np.asarray(x)[0])
    assert x.shape[1:3] == ((side + 1) // 2,) * 2
    assert set(rows) == {1} and set(columns) == {2}


def _convolve(x, kernel, stride):
    """A convolution as a loop, with one position of padding for 3x3."""
    size = kernel.shape[0]
    pad = size // 2
    x = np.pad(x, [(0, 0), (pad, pad), (pad, pad), (0, 0)])
    rows = (x.shape[1] - size) // stride + 1
    columns = (x.shape[2] - size) // stride + 1
    result = np.zeros((x.shape[0], rows, columns, kernel.shape[-1]))
    for row in range(rows):
        for column in range(columns):
            top, left = row * stride, column * stride
            window = x[:, top : top + size, left : left + size]
            result[:, row, column] = np.tensordot(window, kernel, 3)
    return result


def test_downsampling_attention_equals_a_loop():
    x = _features()
    layer = DownsamplingAttention(8)
    layer.build(x.shape)
    generator = np.random.default_rng(9)
    for weight in layer.weights:
        low = 0.5 if "variance" in weight.name else -0.5
        weight.assign(generator.uniform(low, 1.0, weight.shape))
    weights = [step.get_weights() for step in layer.steps]
    expected, stride = x, 2
    for step in (1, 4, 7):
        expected = _convolve(expected, weights[step][0], stride)
        gamma, beta, mean, variance = weights[step + 1]
        expected = (expected - mean) / np.sqrt(variance + 1e-5) * gamma + beta
        expected, stride = np.maximum(expected, 0), 1
    kernel, bias = weights[10]
    expected = 1 / (1 + np.exp(-(_convolve(expected, kernel, 1) + bias)))
    assert layer(x).shape == (2, 4, 5, 8)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-4)


def test_variables_are_named_for_optimizer_rules():
    layer = DownsamplingAttention(8, name="attention")
    layer.build((None, None, None, 6))
    assert [variable.path for variable in layer.trainable_variables] == [
        "attention/first_convolution/kernel",
        "attention/first_normalization/gamma",
        "attention/first_normalization/beta",
        "attention/second_convolution/kernel",
        "attention/second_normalization/gamma",
        "attention/second_normalization/beta",
        "attention/third_convolution/kernel",
        "attention/third_normalization/gamma",
        "attention/third_normalization/beta",
        "attention/scores/kernel",
        "attention/scores/bias",
    ]

"""Learned poolings against their formulas in float64, written out as loops."""

import math

import keras
import numpy as np
import pytest

from agem_tf.layers import (
    RMAC,
    GeM,
    PyramidAttention,
    RegionalAttention,
    WeightedGeM,
)
from agem_tf.ops import rmac_regions


@pytest.fixture
def features():
    """(2, 7, 10, 5) non-negative features, about half of them zero."""
    normal = np.random.default_rng(4).normal(size=(2, 7, 10, 5))
    return np.maximum(normal, 0).astype("float32")


def built(layer, features, randomize):
    layer.build(features.shape)
    randomize(layer)
    weights = {w.name: w.numpy().astype("float64") for w in layer.weights}
    return layer, weights, features.astype("float64")


def normalized(x):
    return x / (np.linalg.norm(x) + 1e-6)


def softplus(x):
    return np.log1p(np.exp(x))


def test_weighted_gem_equals_its_formula(features, randomize):
    layer, weights, x = built(WeightedGeM(), features, randomize)
    expected = np.zeros((2, 5))
    for image in range(2):
        total, sums = 0.0, np.zeros(5)
        for local in x[image].reshape(-1, 5):
            score = local @ weights["kernel"][:, 0] + weights["bias"][0]
            weight = 1 / (1 + math.exp(-score))
            total += weight
            sums += weight * np.maximum(local, 1e-6) ** weights["p"]
        expected[image] = (sums / total) ** (1 / weights["p"])
    np.testing.assert_allclose(layer(features), expected, rtol=1e-4)


def test_weighted_gem_of_a_hand_checked_map():
    # Weights sigmoid(log 3 - log 3 x) of 0 and 1: 3 / 4 and 1 / 2.
    layer = WeightedGeM(p=1.0)
    layer.build((None, None, None, 1))
    layer.kernel.assign([[-math.log(3)]])
    layer.bias.assign([math.log(3)])
    x = np.reshape([0.0, 1.0], (1, 1, 2, 1)).astype("float32")
    np.testing.assert_allclose(layer(x), [[0.5 / 1.25]], rtol=1e-4)


def test_regional_attention_equals_its_formula(features, randomize):
    layer = RegionalAttention(levels=2, filters=3)
    layer, _, x = built(layer, features, randomize)
    w1, b1 = (v.numpy().astype("float64") for v in layer.hidden.weights)
    w2, b2 = (v.numpy().astype("float64") for v in layer.weight.weights)
    regions = [(0, 0, 7, 10)]
    regions += [(y, c, s, s) for y, c, s in rmac_regions(7, 10, levels=2)]
    expected = np.zeros((2, 5))
    for image in range(2):
        context = x[image].mean((0, 1))
        for top, left, rows, columns in regions:
            crop = x[image, top : top + rows, left : left + columns]
            pair = np.concatenate([crop.mean((0, 1)), context])
            weight = softplus(softplus(pair @ w1 + b1) @ w2 + b2)
            expected[image] += weight * normalized(crop.max((0, 1)))
    np.testing.assert_allclose(layer(features), expected, rtol=1e-4)


@pytest.mark.parametrize("cascaded", [True, False])
def test_pyramid_attention_equals_its_formula(features, randomize, cascaded):
    layer = PyramidAttention((1, 2, 3), cascaded)
    layer, weights, x = built(layer, features, randomize)

    def attended(cells, query):
        exponents = np.exp(cells @ query)
        return exponents / exponents.sum() @ cells

    expected = np.zeros((2, 5))
    for image in range(2):
        cells = []
        for size in (1, 2, 3):
            for row in range(size):
                for column in range(size):
                    crop = x[
                        image,
                        row * 7 // size : math.ceil((row + 1) * 7 / size),
                        column * 10 // size : math.ceil(
                            (column + 1) * 10 / size
                        ),
                    ]
                    cells.append(normalized(crop.max((0, 1))))
        result = attended(np.array(cells), weights["query"])
        if cascaded:
            query = np.tanh(result @ weights["kernel"] + weights["bias"])
            result = attended(np.array(cells), query)
        expected[image] = result
    np.testing.assert_allclose(layer(features), expected, rtol=1e-4)


def test_a_map_smaller_than_the_grid_has_no_empty_cell(randomize):
    x = np.array([[[[3.0, 4.0]]]], "float32")
    layer = PyramidAttention((1, 3))
    layer.build(x.shape)
    randomize(layer)
    np.testing.assert_allclose(layer(x), [[0.6, 0.8]], rtol=1e-5)


def test_untrained_layers_are_poolings_without_weights(features):
    np.testing.assert_allclose(
        WeightedGeM()(features), GeM()(features), rtol=1e-5
    )
    np.testing.assert_allclose(
        RegionalAttention()(features), RMAC()(features), rtol=1e-5
    )


@pytest.mark.parametrize(
    "layer",
    [WeightedGeM(), RegionalAttention(), PyramidAttention()],
    ids=lambda layer: layer.name,
)
def test_the_first_steps_move_the_weights(layer, features, gradients):
    layer.build(features.shape)
    before = np.asarray(layer(features))
    for _ in range(3):
        slopes = gradients(layer, features)[1:]
        for weight, slope in zip(
            layer.trainable_variables, slopes, strict=True
        ):
            weight.assign_add(0.1 * np.sign(slope))  # As Adam does.
    assert np.abs(np.asarray(layer(features)) - before).max() > 1e-3


@pytest.mark.parametrize("kind", [WeightedGeM, PyramidAttention])
def test_padding_does_not_count(kind, features, randomize):
    layer = kind()
    layer.build(features.shape)
    randomize(layer)
    canvas = np.full((2, 12, 12, 5), 9.0, "float32")
    canvas[:, :7, :10] = features
    valid = np.zeros((2, 12, 12), bool)
    valid[:, :7, :10] = True
    np.testing.assert_allclose(
        layer(canvas, valid=keras.ops.convert_to_tensor(valid)),
        layer(features),
        rtol=1e-5,
    )

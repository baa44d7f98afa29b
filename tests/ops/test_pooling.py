"""Poolings against published values and plain NumPy."""

import keras
import numpy as np
import pytest

from agem_tf.ops import (
    attentive,
    crow,
    gem,
    mac,
    rmac,
    rmac_regions,
    scda,
    spoc,
)


def _features(shape=(3, 7, 10, 5), seed=4):
    """Non-negative features with about half of them zero, as after a ReLU."""
    normal = np.random.default_rng(seed).normal(size=shape)
    return np.maximum(normal, 0).astype("float32")


@pytest.mark.parametrize(
    "values, p, expected",
    [
        # github.com/filipradenovic/cnnimageretrieval-pytorch
        ([0, 1, 2, 3], 1.0, 1.5),
        ([0, 1, 2, 3], 3.0, 2.0800838),
        ([0, 1, 2, 3], 10.0, 2.6161501),
        ([0, 5, 10], 3.0, 7.2112),
    ],
)
def test_gem_of_published_values(values, p, expected):
    x = np.reshape(values, (1, 1, -1, 1)).astype("float32")
    np.testing.assert_allclose(gem(x, p), [[expected]], rtol=1e-5)


@pytest.mark.parametrize("p", [0.5, 2.864, np.array([1, 2, 3, 4.5, 9.0])])
def test_gem_equals_its_definition(p):
    x = _features().astype("float64")
    expected = (np.maximum(x, 1e-6) ** p).mean((1, 2)) ** (1 / p)
    p = np.asarray(p, "float32")
    np.testing.assert_allclose(gem(_features(), p), expected, rtol=1e-5)


@pytest.mark.parametrize("p", [3.0, 100.0])
def test_gem_of_large_activations_is_finite(p):
    x = keras.ops.full((2, 3, 4, 5), 6e4, "float16")
    result = gem(x, p)
    assert keras.backend.standardize_dtype(result.dtype) == "float16"
    np.testing.assert_allclose(result, np.full((2, 5), 6e4), rtol=1e-3)
    tiny = gem(np.zeros((2, 3, 4, 5), "float32"), p)
    np.testing.assert_allclose(tiny, np.full((2, 5), 1e-6), rtol=1e-5)


def test_mac_and_spoc_reduce_over_positions():
    x = _features()
    np.testing.assert_allclose(mac(x), x.max((1, 2)))
    np.testing.assert_allclose(spoc(x), x.mean((1, 2)), rtol=1e-5)


def test_integers_give_floats():
    x = np.arange(4).reshape((1, 2, 2, 1))
    np.testing.assert_allclose(spoc(x), [[1.5]])


def test_crow_equals_a_loop():
    x = _features()
    x[..., 2] = 0.0
    x[:, 3, 4] = 0.0
    expected = np.zeros((3, 5))
    for image in range(3):
        energies = x[image].sum(-1).astype("float64")
        spatial = np.sqrt(energies / np.sqrt((energies**2).sum()))
        activity = [(x[image, :, :, c] > 0).mean() for c in range(5)]
        for c in range(5):
            rarity = (sum(activity) + 1e-6) / (activity[c] + 1e-6)
            total = (x[image, :, :, c] * spatial).sum()
            expected[image, c] = np.log(rarity) * total
    np.testing.assert_allclose(crow(x), expected, rtol=1e-4)


def test_scda_pools_the_larger_of_two_objects():
    x = np.full((1, 6, 9, 2), 0.01, "float32")
    x[0, 0:2, 0:2] = [9.0, 1.0]
    x[0, 3:6, 5:8] = [2.0, 3.0]
    x[0, 4, 6] = [5.0, 3.0]
    expected = [[(8 * 2 + 5) / 9, 3.0, 5.0, 3.0]]
    np.testing.assert_allclose(scda(x), expected, rtol=1e-6)


def test_scda_of_a_constant_map_pools_all_of_it():
    x = np.broadcast_to(np.float32([1.0, 2.0, 4.0]), (2, 4, 5, 3))
    np.testing.assert_allclose(scda(x), [[1, 2, 4, 1, 2, 4]] * 2, rtol=1e-6)


def test_scda_connects_corners_by_its_connectivity():
    x = np.zeros((1, 4, 6, 1), "float32")
    x[0, [0, 1, 2], [0, 1, 2], 0] = [1.0, 2.0, 3.0]
    np.testing.assert_allclose(scda(x, 8), [[2.0, 3.0]])
    np.testing.assert_allclose(scda(x, 4), [[1.0, 1.0]])


@pytest.mark.parametrize("sides", [(12, 12), (8, 13), (17, 5)])
def test_rmac_equals_a_loop_over_regions(sides):
    x = _features((2, *sides, 3))
    x64 = x.astype("float64")
    height, width = sides
    regions = [(0, 0, height, width)]
    regions += [(y, c, size, size) for y, c, size in rmac_regions(*sides)]
    expected = np.zeros((2, 3))
    for top, left, rows, columns in regions:
        crop = x64[:, top : top + rows, left : left + columns]
        maxima = crop.max((1, 2))
        expected += maxima / (np.linalg.norm(maxima, axis=1)[:, None] + 1e-6)
    np.testing.assert_allclose(rmac(x), expected, rtol=1e-5)


def test_attentive_weights_unit_features_by_their_scores():
    # Unit vectors (.6, .8), (0, 1) and (1, 0), times 1, 2 and 3, over 3.
    x = np.reshape([3.0, 4.0, 0.0, 9.0, 0.5, 0.0], (1, 1, 3, 2))
    scores = np.reshape([1.0, 2.0, 3.0], (1, 1, 3, 1))
    pooled = attentive(x.astype("float32"), scores)
    np.testing.assert_allclose(pooled, [[1.2, 2.8 / 3]], rtol=1e-5)
    valid = np.reshape([True, True, False], (1, 1, 3))
    pooled = attentive(x.astype("float32"), scores, valid)
    np.testing.assert_allclose(pooled, [[0.3, 1.4]], rtol=1e-5)

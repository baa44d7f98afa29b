"""Scores of the classifiers and their initial weights."""

import keras
import numpy as np
import pytest

from agem_tf.layers import CosineClassifier, LinearClassifier
from agem_tf.losses import ArcFaceLoss

X = np.random.default_rng(17).normal(size=(4, 5)).astype("float32")


def test_cosines_do_not_depend_on_lengths():
    layer = CosineClassifier(7)
    cosines = np.asarray(layer(X))
    kernel = layer.kernel.numpy().astype("float64")
    assert kernel.shape == (7, 5)
    norms = np.linalg.norm(X, axis=1)[:, None] * np.linalg.norm(kernel, axis=1)
    np.testing.assert_allclose(cosines, X @ kernel.T / norms, atol=1e-6)
    layer.kernel.assign(kernel * np.arange(1, 8)[:, None])
    np.testing.assert_allclose(layer(3 * X), cosines, atol=1e-6)


def test_linear_scores_have_a_bias():
    layer = LinearClassifier(7)
    layer.build((None, 5))
    layer.bias.assign(np.arange(7))
    expected = X @ layer.kernel.numpy().T + np.arange(7)
    np.testing.assert_allclose(layer(X), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [CosineClassifier, LinearClassifier])
def test_the_seed_determines_the_initial_weights(kind):
    kernels = []
    for seed in (3, 3, 4):
        layer = kind(6, seed=seed)
        layer.build((None, 5))
        kernels.append(layer.kernel.numpy())
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert (kernels[0] != kernels[2]).all()


@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_gradient_of_a_descriptor_parallel_to_its_class_is_finite(
    direction, gradients
):
    layer = CosineClassifier(3, seed=1)
    layer.build((None, 5))
    on_line = direction * layer.kernel.numpy()[:2]
    model = keras.Sequential(
        [
            layer,
            keras.layers.Lambda(lambda c: ArcFaceLoss(0.5)(np.arange(2), c)),
        ]
    )
    for gradient in gradients(model, on_line):
        assert np.isfinite(gradient).all()


def test_several_centres_give_the_cosine_to_the_nearest():
    layer = CosineClassifier(3, num_centres=2, seed=5)
    cosines = np.asarray(layer(X))
    kernel = layer.kernel.numpy().astype("float64")
    assert kernel.shape == (6, 5)
    centres = (kernel / np.linalg.norm(kernel, axis=1)[:, None]).reshape(
        3, 2, 5
    )
    photos = X / np.linalg.norm(X, axis=1, keepdims=True)
    expected = np.einsum("nd,ckd->nck", photos, centres).max(axis=-1)
    np.testing.assert_allclose(cosines, expected, atol=1e-6)
    assert layer.compute_output_shape((4, 5)) == (4, 3)


def test_only_the_nearest_centre_learns(gradients):
    layer = CosineClassifier(2, num_centres=3, seed=5)
    layer.build((None, 5))
    model = keras.Sequential(
        [
            layer,
            keras.layers.Lambda(
                lambda c: ArcFaceLoss(0.1, 4.0)(np.array([1]), c)
            ),
        ]
    )
    kernel_gradient = gradients(model, X[:1])[-1]
    moved = np.abs(np.asarray(kernel_gradient)).sum(axis=1) > 0
    # One centre of either class: its own, and the other's nearest.
    assert moved.reshape(2, 3).sum(axis=1).tolist() == [1, 1]


def test_a_class_has_at_least_one_centre():
    with pytest.raises(ValueError, match="num_centres=0"):
        CosineClassifier(3, num_centres=0)

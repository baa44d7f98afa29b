"""Smooth-AP against its formula in float64."""

import keras
import numpy as np
import pytest

from agem_tf.losses import SmoothAPLoss


@pytest.fixture
def images():
    """Landmarks (9,), of which one has a single photo, and descriptors."""
    x = np.random.default_rng(7).normal(size=(9, 5))
    return np.array([3, 8, 3, 5, 8, 3, 1, 5, 8]), x.astype("float32")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def formula(landmarks, x, temperature):
    x = x.astype("float64")
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    cosines, losses = x @ x.T, []
    for query in range(len(x)):
        others = np.delete(np.arange(len(x)), query)
        positives = others[landmarks[others] == landmarks[query]]
        negatives = others[landmarks[others] != landmarks[query]]
        precisions = []
        for i in positives:
            s = cosines[query]
            rank = 1 + sum(
                sigmoid((s[j] - s[i]) / temperature)
                for j in positives
                if j != i
            )
            ahead = sum(sigmoid((s[j] - s[i]) / temperature) for j in negatives)
            precisions.append(rank / (rank + ahead))
        losses.append(1 - np.mean(precisions) if precisions else 0.0)
    return losses


@pytest.mark.parametrize("temperature", [0.01, 0.3])
def test_every_image_equals_the_formula(images, temperature):
    losses = SmoothAPLoss(temperature, reduction="none")(*images)
    expected = formula(*images, temperature)
    assert expected[6] == 0 and max(expected) > 0.5
    np.testing.assert_allclose(losses, expected, rtol=1e-4, atol=1e-5)


def test_it_approaches_one_minus_the_average_precision():
    # Of the query at 0 degrees, the ranking is: positive, negative, positive.
    degrees = np.radians([0, 10, 20, 30])
    x = np.stack([np.cos(degrees), np.sin(degrees)], 1).astype("float32")
    losses = SmoothAPLoss(1e-4, reduction="none")(np.array([4, 4, 2, 4]), x)
    assert float(losses[0]) == pytest.approx(1 - (1 + 2 / 3) / 2, abs=1e-5)


def test_images_are_summed_by_default(images):
    total = sum(formula(*images, 0.01))
    assert float(SmoothAPLoss()(*images)) == pytest.approx(total, rel=1e-4)


def test_the_gradient_is_that_of_the_formula(images, gradient):
    landmarks, x = images
    loss = SmoothAPLoss(0.3)
    slopes = gradient(lambda x: keras.ops.sum(loss.call(landmarks, x)), x)
    step = 1e-5
    for place in [(0, 0), (4, 2), (6, 4)]:
        sides = []
        for sign in (1, -1):
            moved = x.astype("float64")
            moved[place] += sign * step
            sides.append(sum(formula(landmarks, moved, 0.3)))
        numeric = (sides[0] - sides[1]) / (2 * step)
        assert slopes[place] == pytest.approx(numeric, rel=1e-3, abs=1e-4)


def test_images_without_positives_have_no_loss_and_no_gradient(
    images, gradient
):
    _, x = images
    loss = SmoothAPLoss()
    assert float(loss(np.arange(9), x)) == 0
    slopes = gradient(lambda x: loss(np.arange(9), x), x)
    np.testing.assert_array_equal(slopes, 0)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_coinciding_descriptors_have_finite_gradients(dtype, gradient):
    landmarks = np.array([1, 1, 2, 2])
    for value in (0.5, 0.0):
        x = keras.ops.cast(np.full((4, 3), value), dtype)
        loss = SmoothAPLoss()
        slopes = gradient(
            lambda x, loss=loss: keras.ops.sum(loss.call(landmarks, x)), x
        )
        assert np.isfinite(slopes).all()


def test_serialization_keeps_every_argument():
    loss = SmoothAPLoss(0.05, reduction="none", name="x")
    twin = keras.losses.deserialize(keras.losses.serialize(loss))
    assert isinstance(twin, SmoothAPLoss)
    assert twin.get_config() == loss.get_config()
    assert twin.temperature == 0.05


def test_wrong_arguments_are_named(images):
    landmarks, x = images
    with pytest.raises(ValueError, match="Received: temperature=0$"):
        SmoothAPLoss(temperature=0)
    with pytest.raises(ValueError, match=r"y_true.shape=\(1, 9\)"):
        SmoothAPLoss()(landmarks[None], x)

"""Softmax loss against its formula in float64."""

import keras
import numpy as np
import pytest

from agem_tf.losses import SoftmaxLoss


@pytest.fixture
def photos():
    """Classes (4,) and scores (4, 7), of which the last is far ahead."""
    scores = np.random.default_rng(21).normal(size=(4, 7))
    scores[3, 2] = 200
    return np.array([6, 0, 3, 5]), scores.astype("float32")


def _formula(classes, scores, scale):
    exponents = scale * scores.astype("float64")
    totals = np.log(np.exp(exponents).sum(axis=1))
    return totals - exponents[np.arange(len(classes)), classes]


@pytest.mark.parametrize("scale", [1.0, 2.5])
def test_every_photo_equals_the_formula(photos, scale):
    losses = SoftmaxLoss(scale, reduction="none")(*photos)
    np.testing.assert_allclose(losses, _formula(*photos, scale), rtol=1e-5)


def test_photos_are_summed_by_default(photos):
    total = _formula(*photos, 1.0).sum()
    assert float(SoftmaxLoss()(*photos)) == pytest.approx(total, rel=1e-5)


def test_loss_of_equal_scores_is_the_logarithm_of_the_classes():
    loss = SoftmaxLoss()(np.array([1]), np.zeros((1, 3), "float32"))
    assert float(loss) == pytest.approx(1.0986123, abs=1e-6)


def test_half_precision_scores_are_summed_in_float32():
    # The exponentials of 40,000 float16 zeros would add up to infinity.
    scores = keras.ops.zeros((1, 40_000), "float16")
    losses = SoftmaxLoss(reduction="none").call(np.array([9]), scores)
    np.testing.assert_allclose(losses, [np.log(40_000)], rtol=1e-6)


def test_serialization_keeps_every_argument():
    loss = SoftmaxLoss(scale=16.0, reduction="none", name="x")
    twin = keras.losses.deserialize(keras.losses.serialize(loss))
    assert isinstance(twin, SoftmaxLoss)
    assert twin.get_config() == loss.get_config()
    assert twin.scale == 16.0


def test_wrong_arguments_are_named(photos):
    classes, scores = photos
    with pytest.raises(ValueError, match="Received: scale=0$"):
        SoftmaxLoss(scale=0)
    with pytest.raises(ValueError, match=r"y_pred.shape=\(28,\)"):
        SoftmaxLoss()(classes, scores.reshape(28))


@pytest.mark.parametrize("scale", [1.0, 2.5])
def test_smoothed_labels_equal_the_cross_entropy_of_their_targets(scale):
    generator = np.random.default_rng(3)
    scores = generator.normal(size=(4, 7)).astype("float32")
    classes = np.array([6, 0, 3, 3])
    targets = np.full((4, 7), 0.2 / 7)
    targets[np.arange(4), classes] += 0.8
    logits = scale * scores.astype("float64")
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    losses = SoftmaxLoss(scale, label_smoothing=0.2, reduction="none")(
        classes, scores
    )
    np.testing.assert_allclose(losses, -(targets * logs).sum(1), rtol=1e-5)


def test_the_gradient_of_smoothed_labels_is_probability_minus_target(gradient):
    scores = np.random.default_rng(3).normal(size=(2, 5)).astype("float32")
    classes = np.array([1, 4])
    loss = SoftmaxLoss(label_smoothing=0.1)
    slopes = gradient(lambda x: loss(classes, x), scores)
    targets = np.full((2, 5), 0.02)
    targets[np.arange(2), classes] += 0.9
    exponents = np.exp(scores.astype("float64"))
    shares = exponents / exponents.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(slopes, shares - targets, atol=1e-6)


@pytest.mark.parametrize("smoothing", [-0.1, 1.0])
def test_impossible_smoothing_is_named(smoothing):
    with pytest.raises(ValueError, match=f"label_smoothing={smoothing}"):
        SoftmaxLoss(label_smoothing=smoothing)

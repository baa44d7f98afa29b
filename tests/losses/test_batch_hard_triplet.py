"""Batch-hard triplet loss against a loop over a batch."""

import keras
import numpy as np
import pytest

from agem_tf.losses import BatchHardTripletLoss


@pytest.fixture
def images():
    """Landmarks (9,), of which one has a single photo, and descriptors."""
    x = np.random.default_rng(7).normal(size=(9, 5))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return np.array([3, 8, 3, 5, 8, 3, 1, 5, 8]), x.astype("float32")


def _loop(landmarks, x, margin):
    x = x.astype("float64")
    losses = []
    for i, anchor in enumerate(x):
        distances = np.linalg.norm(anchor - x, axis=1)
        kin = landmarks == landmarks[i]
        itself = np.arange(len(x)) == i
        positives, negatives = distances[kin & ~itself], distances[~kin]
        if not len(positives) or not len(negatives):
            losses.append(0.0)
            continue
        losses.append(max(margin + positives.max() - negatives.min(), 0))
    return losses


@pytest.mark.parametrize("margin", [0.3, 0.05])
def test_every_image_equals_a_loop(images, margin):
    expected = _loop(*images, margin)
    assert sum(loss == 0 for loss in expected) < 5
    losses = BatchHardTripletLoss(margin, reduction="none")(*images)
    np.testing.assert_allclose(losses, expected, rtol=1e-5, atol=1e-6)


def test_images_are_summed_by_default(images):
    assert float(BatchHardTripletLoss()(*images)) == pytest.approx(
        sum(_loop(*images, margin=0.3)), rel=1e-5
    )


def test_hand_checked_batch():
    # Per anchor 0.3 + the farthest positive - the nearest negative:
    # sqrt(2) - 0, sqrt(2) - sqrt(0.4), sqrt(0.8) - sqrt(0.4), sqrt(0.8) - 0.
    x = [[1.0, 0.0], [0.0, 1.0], [0.6, 0.8], [1.0, 0.0]]
    losses = BatchHardTripletLoss(reduction="none")(
        np.array([5, 5, 8, 8]), np.array(x, "float32")
    )
    np.testing.assert_allclose(
        losses, [1.714214, 1.081759, 0.561972, 1.194427], atol=1e-5
    )


def test_loss_without_positives_or_negatives_is_zero(images):
    _, x = images
    loss = BatchHardTripletLoss()
    assert float(loss(np.zeros(9), x)) == 0
    assert float(loss(np.arange(9), x)) == 0


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_coinciding_descriptors_have_finite_gradients(dtype, gradient):
    landmarks = np.array([1, 1, 2, 2])
    x = keras.ops.cast(np.full((4, 3), 0.5), dtype)
    loss = BatchHardTripletLoss(margin=0.2)
    slopes = gradient(lambda x: keras.ops.sum(loss.call(landmarks, x)), x)
    assert np.isfinite(slopes).all()
    assert float(loss(landmarks, x)) == pytest.approx(4 * 0.2, rel=1e-4)


def test_the_gradient_moves_the_hardest_pairs_only(gradient):
    landmarks = np.array([1, 1, 1, 2])
    x = np.array([[0, 0], [1, 0], [3, 0], [0, 2]], "float32")
    loss = BatchHardTripletLoss(margin=0.5, reduction=None)
    slopes = gradient(lambda x: loss.call(landmarks, x)[0], x)
    # Anchor 0: the farthest positive is image 2, the nearest negative 3.
    np.testing.assert_allclose(
        slopes, [[-1, 1], [0, 0], [1, 0], [0, -1]], atol=1e-5
    )


def test_serialization_keeps_every_argument():
    loss = BatchHardTripletLoss(0.5, epsilon=1e-4, reduction="none", name="x")
    twin = keras.losses.deserialize(keras.losses.serialize(loss))
    assert isinstance(twin, BatchHardTripletLoss)
    assert twin.get_config() == loss.get_config()
    assert (twin.margin, twin.epsilon) == (0.5, 1e-4)


@pytest.mark.parametrize("name", ["margin", "epsilon"])
def test_wrong_arguments_are_named(name):
    with pytest.raises(ValueError, match=f"Received: {name}=0$"):
        BatchHardTripletLoss(**{name: 0})


def test_tuples_are_refused(batch):
    roles, x = batch
    with pytest.raises(ValueError, match=r"y_true.shape=\(4, 6\)"):
        BatchHardTripletLoss()(roles, x)

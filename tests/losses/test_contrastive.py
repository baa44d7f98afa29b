"""Contrastive loss against published values and a loop."""

import keras
import numpy as np
import pytest

from agem_tf.losses import ContrastiveLoss


@pytest.mark.parametrize("margin", [0.7, 0.85])
def test_published_tuple(margin, published_tuple):
    # github.com/filipradenovic/cnnimageretrieval-pytorch
    loss = ContrastiveLoss(margin=margin)(*published_tuple)
    assert float(loss) == pytest.approx(0.1999996, abs=1e-7)


def _loop(roles, x, margin, epsilon=1e-6):
    losses = []
    for tuple_roles, descriptors in zip(
        roles, x.astype("float64"), strict=True
    ):
        loss = 0.0
        for role, descriptor in zip(tuple_roles, descriptors, strict=True):
            distance = np.linalg.norm(descriptors[0] - descriptor + epsilon)
            if role == 1:
                loss += 0.5 * distance**2
            elif role == 0:
                loss += 0.5 * max(margin - distance, 0) ** 2
        losses.append(loss)
    return losses


def test_every_tuple_of_a_batch_equals_a_loop(batch):
    expected = _loop(*batch, margin=1.3)
    assert len(set(expected)) == 4 and min(expected) > 0
    losses = ContrastiveLoss(margin=1.3, reduction="none")(*batch)
    np.testing.assert_allclose(losses, expected, rtol=1e-5)


def test_tuples_are_summed_by_default(batch):
    assert float(ContrastiveLoss()(*batch)) == pytest.approx(
        sum(_loop(*batch, margin=0.7)), rel=1e-5
    )


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_coinciding_descriptors_have_finite_gradients(dtype, gradient):
    roles = np.array([[-1, 1, 0, 0]] * 2)
    x = keras.ops.cast(np.full((2, 4, 5), 0.4), dtype)
    loss = ContrastiveLoss()
    slopes = gradient(lambda x: keras.ops.sum(loss.call(roles, x)), x)
    assert np.isfinite(slopes).all()
    expected = 2 * 2 * 0.5 * (0.7 - 1e-6 * np.sqrt(5)) ** 2
    assert float(loss(roles, x)) == pytest.approx(expected, rel=1e-5)


def test_gradient_pulls_the_positive_and_pushes_near_negatives(gradient):
    roles = np.array([[-1, 1, 0, 0]])
    x = np.array([[[0, 0], [2, 0], [0.3, 0], [0, 0.9]]], "float32")
    slopes = gradient(lambda x: ContrastiveLoss(margin=0.7)(roles, x), x)
    expected = [[-2 + 0.4, 0], [2, 0], [-0.4, 0], [0, 0]]
    np.testing.assert_allclose(slopes[0], expected, atol=1e-4)


def test_half_precision_descriptors_are_compared_in_float32(batch):
    roles, x = batch
    half = keras.ops.cast(x, "float16")
    rounded = np.asarray(keras.ops.cast(half, "float32"))
    losses = ContrastiveLoss(reduction="none").call(roles, half)
    np.testing.assert_allclose(losses, _loop(roles, rounded, 0.7), rtol=1e-5)


def test_serialization_keeps_every_argument():
    loss = ContrastiveLoss(
        margin=0.85, epsilon=1e-5, reduction="none", name="x"
    )
    twin = keras.losses.deserialize(keras.losses.serialize(loss))
    assert isinstance(twin, ContrastiveLoss)
    assert twin.get_config() == loss.get_config()
    assert (twin.margin, twin.epsilon) == (0.85, 1e-5)


def test_wrong_arguments_are_named(batch):
    roles, x = batch
    with pytest.raises(ValueError, match="Received: margin=0$"):
        ContrastiveLoss(margin=0)
    with pytest.raises(ValueError, match="Received: epsilon=0.0$"):
        ContrastiveLoss(epsilon=0.0)
    with pytest.raises(ValueError, match=r"y_pred.shape=\(24, 5\)"):
        ContrastiveLoss()(roles, x.reshape(24, 5))

"""Triplet loss against published values and a loop."""

import keras
import numpy as np
import pytest

from agem_tf.losses import TripletLoss


@pytest.mark.parametrize("margin, expected", [(0.1, 0.0), (0.5, 0.1)])
def test_published_tuple(margin, expected, published_tuple):
    # github.com/filipradenovic/cnnimageretrieval-pytorch
    loss = TripletLoss(margin=margin)(*published_tuple)
    assert float(loss) == pytest.approx(expected, abs=1e-6)


def _loop(roles, x, margin):
    losses = []
    for tuple_roles, descriptors in zip(
        roles, x.astype("float64"), strict=True
    ):
        squares = ((descriptors[0] - descriptors) ** 2).sum(-1)
        losses.append(
            sum(
                max(positive - negative + margin, 0)
                for positive in squares[tuple_roles == 1]
                for negative in squares[tuple_roles == 0]
            )
        )
    return losses


def test_every_tuple_of_a_batch_equals_a_loop(batch):
    expected = _loop(*batch, margin=1.0)
    assert len(set(expected)) == 4 and min(expected) > 0
    losses = TripletLoss(margin=1.0, reduction="none")(*batch)
    np.testing.assert_allclose(losses, expected, rtol=1e-5)


def test_tuples_are_summed_by_default(batch):
    assert float(TripletLoss()(*batch)) == pytest.approx(
        sum(_loop(*batch, margin=0.1)), rel=1e-5
    )


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_coinciding_descriptors_have_finite_gradients(dtype, gradient):
    roles = np.array([[-1, 1, 0, 0]] * 3)
    x = keras.ops.cast(np.full((3, 4, 5), 0.4), dtype)
    loss = TripletLoss(margin=0.1)
    slopes = gradient(lambda x: keras.ops.sum(loss.call(roles, x)), x)
    assert np.isfinite(slopes).all()
    assert float(loss(roles, x)) == pytest.approx(3 * 2 * 0.1, rel=1e-5)


def test_half_precision_descriptors_are_compared_in_float32(batch):
    roles, x = batch
    half = keras.ops.cast(x, "float16")
    rounded = np.asarray(keras.ops.cast(half, "float32"))
    losses = TripletLoss(reduction="none").call(roles, half)
    np.testing.assert_allclose(losses, _loop(roles, rounded, 0.1), rtol=1e-5)


def test_serialization_keeps_every_argument():
    loss = TripletLoss(margin=0.5, reduction="none", name="x")
    twin = keras.losses.deserialize(keras.losses.serialize(loss))
    assert isinstance(twin, TripletLoss)
    assert twin.get_config() == loss.get_config()
    assert twin.margin == 0.5


def test_wrong_arguments_are_named(batch):
    roles, x = batch
    with pytest.raises(ValueError, match="Received: margin=-1$"):
        TripletLoss(margin=-1)
    with pytest.raises(ValueError, match=r"y_true.shape=\(24,\)"):
        TripletLoss()(roles.reshape(24), x)

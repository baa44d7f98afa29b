"""ArcFace against its formula with angles, in float64, and at its poles."""

import keras
import numpy as np
import pytest

from agem_tf.losses import ArcFaceLoss, SoftmaxLoss

MARGIN, SCALE = 0.1, 45.25


@pytest.fixture
def photos():
    """Classes (6,) and cosines (6, 9) all over [-1, 1]."""
    generator = np.random.default_rng(22)
    cosines = generator.uniform(-1, 1, size=(6, 9)).astype("float32")
    classes = np.array([4, 0, 8, 4, 1, 6])
    # Two photos farther than pi - margin from their class.
    cosines[4, 1], cosines[5, 6] = -0.997, -1.0
    return classes, cosines


def _formula(classes, cosines, margin, scale, easy):
    """The losses, each angle taken from its cosine."""
    losses = []
    for own, row in zip(classes, cosines.astype("float64"), strict=True):
        angle = np.arccos(row[own])
        scores = row.copy()
        if easy:
            within = angle < np.pi / 2
            beyond = row[own]
        else:
            within = angle < np.pi - margin
            beyond = row[own] - margin * np.sin(margin)
        scores[own] = np.cos(angle + margin) if within else beyond
        losses.append(
            np.log(np.exp(scale * scores).sum()) - scale * scores[own]
        )
    return losses


@pytest.mark.parametrize("easy", [False, True])
@pytest.mark.parametrize(("margin", "scale"), [(0.1, 45.25), (0.5, 64.0)])
def test_every_photo_equals_the_formula(photos, margin, scale, easy):
    expected = _formula(*photos, margin, scale, easy)
    loss = ArcFaceLoss(margin, scale, easy, reduction="none")
    np.testing.assert_allclose(loss(*photos), expected, rtol=1e-5, atol=1e-4)


def test_hand_checked_photo():
    # 45.25 * cos(60 degrees + 0.1) = 18.599732 against 45.25 * 0.4 = 18.1:
    # log(1 + exp(18.1 - 18.599732)) = 0.474178.
    cosines = np.array([[0.5, 0.4]], "float32")
    assert float(ArcFaceLoss()(np.array([0]), cosines)) == pytest.approx(
        0.474178, abs=1e-5
    )


def test_photos_are_summed_by_default(photos):
    total = np.sum(_formula(*photos, MARGIN, SCALE, False))
    assert float(ArcFaceLoss()(*photos)) == pytest.approx(total, rel=1e-6)


def test_without_a_margin_it_is_the_normalized_softmax(photos):
    loss = ArcFaceLoss(margin=0.0, scale=16.0, reduction="none")
    expected = SoftmaxLoss(16.0, reduction="none")(*photos)
    np.testing.assert_allclose(loss(*photos), expected, rtol=1e-6)


@pytest.mark.parametrize("cosine", [1.0, -1.0, 1.0000001, -1.0000001])
@pytest.mark.parametrize("easy", [False, True])
def test_the_poles_have_finite_values_and_gradients(cosine, easy, gradient):
    """Rounding takes cosines of unit vectors out of [-1, 1]."""
    cosines = np.array([[cosine, 0.2, -0.3]], "float32")
    loss = ArcFaceLoss(0.5, 4.0, easy)
    clipped = np.clip(cosines, -1, 1)
    expected = _formula(np.array([0]), clipped, 0.5, 4.0, easy)
    assert float(loss(np.array([0]), cosines)) == pytest.approx(
        expected[0], abs=1e-5
    )
    slopes = gradient(lambda x: loss(np.array([0]), x), cosines)
    assert np.isfinite(slopes).all()
    assert slopes[0, 0] < 0


def test_next_to_the_poles_the_gradient_is_that_of_the_formula(gradient):
    least = np.float32(1) - np.finfo("float32").epsneg
    cosines = np.array([[least, 0.9, 0.1]], "float32")
    slopes = gradient(lambda x: ArcFaceLoss(0.5, 4)(np.array([0]), x), cosines)
    # dL/dz = softmax - 1, dz/dcos = 4 * sin(theta + 0.5) / sin(theta).
    angle = np.arccos(np.float64(least))
    scores = np.exp(4 * np.array([np.cos(angle + 0.5), 0.9, 0.1]))
    expected = 4 * (scores[0] / scores.sum() - 1)
    expected *= np.sin(angle + 0.5) / np.sin(angle)
    assert slopes[0, 0] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("margin", [0.1, 0.5, np.pi / 2])
def test_the_loss_grows_with_the_angle_from_pole_to_pole(margin):
    cosines = np.cos(np.linspace(0, np.pi, 400)).astype("float32")
    others = np.full((400, 1), 0.3, "float32")
    losses = ArcFaceLoss(margin, scale=4.0, reduction="none")(
        np.zeros(400), np.concatenate([cosines[:, None], others], axis=1)
    )
    assert (np.diff(np.asarray(losses)) > 0).all()


def test_half_precision_cosines_are_compared_in_float32(photos):
    classes, cosines = photos
    half = keras.ops.cast(cosines, "float16")
    rounded = np.asarray(keras.ops.cast(half, "float32"))
    losses = ArcFaceLoss(reduction="none").call(classes, half)
    expected = _formula(classes, rounded, MARGIN, SCALE, False)
    np.testing.assert_allclose(losses, expected, rtol=1e-5, atol=1e-4)


def test_serialization_keeps_every_argument():
    loss = ArcFaceLoss(0.3, 30.0, True, reduction="none", name="x")
    twin = keras.losses.deserialize(keras.losses.serialize(loss))
    assert isinstance(twin, ArcFaceLoss)
    assert twin.get_config() == loss.get_config()
    assert (twin.margin, twin.scale, twin.easy_margin) == (0.3, 30.0, True)


@pytest.mark.parametrize("margin", [-0.1, 1.6])
def test_a_margin_out_of_range_is_named(margin):
    with pytest.raises(ValueError, match=f"Received: margin={margin}$"):
        ArcFaceLoss(margin=margin)


def test_wrong_shapes_are_named(photos):
    classes, cosines = photos
    with pytest.raises(ValueError, match=r"y_true.shape=\(2, 3\)"):
        ArcFaceLoss()(classes.reshape(2, 3), cosines)

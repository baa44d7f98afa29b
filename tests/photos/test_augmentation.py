"""Augmented photos follow from their seed and keep their shape."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from agem_tf.config import AugmentationConfig
from agem_tf.photos.augmentation import Augmentation

SETTINGS = {
    "crop": 0.3,
    "flip": 1.0,
    "colour": 0.5,
    "blur": 1.0,
    "noise": 20.0,
    "jpeg_quality": 20,
    "erase": 1.0,
}


@pytest.fixture
def photo():
    """Coarse colours, so that a blur and a JPEG change their edges only."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(40, 200, (5, 8, 3))
    return tf.constant(np.kron(coarse, np.ones((10, 10, 1))).astype(np.uint8))


def augmented(photo, seed, **settings):
    augmentation = Augmentation(AugmentationConfig(**settings))
    cropped = augmentation.crop(photo, tf.constant([seed, 1]))
    return augmentation.change(cropped, tf.constant([seed, 2])).numpy()


def test_by_default_nothing_changes(photo):
    np.testing.assert_array_equal(augmented(photo, 0), photo)


def test_every_setting_has_a_case():
    names = {field.name for field in dataclasses.fields(AugmentationConfig)}
    assert names == set(SETTINGS)


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_seed_determines_the_change(photo, setting):
    settings = {setting: SETTINGS[setting]}
    first, again, other = (augmented(photo, i, **settings) for i in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, photo)
    assert setting == "flip" or not np.array_equal(first, other)
    assert first.dtype == np.uint8
    if setting != "crop":
        assert first.shape == photo.shape


def test_a_flip_mirrors_left_to_right(photo):
    np.testing.assert_array_equal(augmented(photo, 0, flip=1.0), photo[:, ::-1])


def test_a_crop_keeps_proportions_and_the_least_share(photo):
    for seed in range(10):
        height, width, _ = augmented(photo, seed, crop=0.3).shape
        assert width / height == pytest.approx(8 / 5, rel=0.03)
        assert 0.29 * 4000 < height * width <= 4000


def test_an_erased_rectangle_has_the_mean_colour(photo):
    changed = augmented(photo, 0, erase=1.0)
    differs = (changed != photo.numpy()).any(axis=2)
    rows, columns = (
        np.flatnonzero(differs.any(1)),
        np.flatnonzero(differs.any(0)),
    )
    inside = changed[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    assert len(np.unique(inside.reshape(-1, 3), axis=0)) == 1
    np.testing.assert_allclose(
        inside[0, 0], photo.numpy().mean((0, 1)), atol=0.51
    )
    assert 0.01 * 4000 < differs.sum() < 0.22 * 4000


def test_a_probability_of_a_half_changes_about_half(photo):
    flips = [
        not np.array_equal(augmented(photo, seed, flip=0.5), photo)
        for seed in range(40)
    ]
    assert 10 < sum(flips) < 30

"""Heat maps over photos, pixel by pixel."""

import numpy as np

from agem_tf.pages.attention import overlay


def _photo(height=30, width=50, value=80):
    return np.full((height, width, 3), value, np.uint8)


def test_only_hot_places_are_coloured():
    heat = np.zeros((3, 5))
    heat[2, 0] = 7.0
    photo = _photo(60, 100)
    warm = overlay(photo, heat)
    assert warm.dtype == np.uint8
    assert warm.shape == photo.shape
    assert warm[-1, 0, 0] > 150
    np.testing.assert_array_equal(warm[:20], photo[:20])
    np.testing.assert_array_equal(warm[:, 40:], photo[:, 40:])


def test_opacity_bounds_the_change():
    heat = np.arange(6.0).reshape(2, 3)
    photo = _photo(20, 30)
    np.testing.assert_array_equal(overlay(photo, heat, opacity=0.0), photo)
    strong = overlay(photo, heat, opacity=0.9).astype(int)
    weak = overlay(photo, heat, opacity=0.3).astype(int)
    assert np.abs(strong - 80).sum() > 2 * np.abs(weak - 80).sum()


def test_a_constant_map_shows_no_colour():
    heat = np.full((3, 5), 0.5, np.float32)
    heat[1, 2] = np.nextafter(np.float32(0.5), 1)
    photo = _photo(60, 100)
    np.testing.assert_array_equal(overlay(photo, heat), photo)

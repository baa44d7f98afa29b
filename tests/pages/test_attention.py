"""Heat maps over photos, pixel by pixel."""

import numpy as np

from agem_tf.descriptors.local_features import LocalFeatures
from agem_tf.pages.attention import draw_keypoints, overlay


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


def test_keypoints_are_circles_of_the_size_of_their_score():
    features = LocalFeatures(
        keypoints=[[20, 30], [70, 30]],
        descriptors=np.ones((2, 3)),
        scores=[1.0, 0.5],
        scales=[1.0, 1.0],
        size=(60, 100),
    )
    photo = _photo(60, 100)
    changed = (draw_keypoints(photo, features) != photo).any(axis=2)
    rows, columns = np.nonzero(changed)
    left, right = columns[columns < 45], columns[columns > 45]
    assert (left.min(), left.max()) == (16, 24)
    assert (right.min(), right.max()) == (68, 72)
    assert (rows.min(), rows.max()) == (26, 34)
    nothing = LocalFeatures.none(3, (60, 100))
    np.testing.assert_array_equal(draw_keypoints(photo, nothing), photo)

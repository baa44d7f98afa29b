"""Rendered photos and their views."""

import cv2
import numpy as np
import pytest

from agem_tf import rendered_landmarks
from agem_tf.rendered_landmarks import SceneSettings, View
from agem_tf.rendered_landmarks.camera import apply_homography
from agem_tf.rendered_landmarks.photo import GRID

CLEAR = SceneSettings(
    light_shares=(("noon", 1.0),),
    mean_trees=0,
    mean_people=0,
    mean_vehicles=0,
    mean_posts=0,
    foreground_share=0,
    whole_share=1,
    far_share=0,
    glimpse_share=0,
    whole_framing=(0.6, 0.7),
    off_centre=0,
    motion_blur_share=0,
    defocus_share=0,
)
SIZE = 128


def _landmark(index: int = 3) -> rendered_landmarks.Landmark:
    return rendered_landmarks.make_landmark(seed=0, index=index)


def _cell_pixels(
    view: View, landmark: rendered_landmarks.Landmark
) -> np.ndarray:
    """Returns the pixels of the centres of the visible cells."""
    cells = np.argwhere(view.visible)[:, ::-1] + 0.5
    metres = cells * (landmark.width / GRID, landmark.height / GRID)
    return apply_homography(view.homography, metres)


def test_photos_are_in_landscape_or_portrait_format():
    shapes = {
        rendered_landmarks.render(_landmark(), index, SIZE).image.shape
        for index in range(8)
    }
    assert shapes == {(96, 128, 3), (128, 96, 3)}


def test_photos_are_deterministic_in_any_order():
    first = rendered_landmarks.render(_landmark(), 5, SIZE)
    rendered_landmarks.make_landmark.cache_clear()
    rendered_landmarks.render(_landmark(7), 0, SIZE)
    again = rendered_landmarks.render(_landmark(), 5, SIZE)
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.view.visible, again.view.visible)
    assert first.view.box == again.view.box


@pytest.mark.parametrize("changed", ["seed", "index", "view"])
def test_seed_index_and_view_all_change_the_photo(changed):
    numbers = {"seed": 0, "index": 3, "view": 5}
    images = []
    for step in (0, 1):
        now = numbers | {changed: numbers[changed] + step}
        landmark = rendered_landmarks.make_landmark(now["seed"], now["index"])
        image = rendered_landmarks.render(landmark, now["view"], SIZE).image
        images.append(cv2.resize(image, (32, 32)).astype(float))
    assert np.abs(images[0] - images[1]).mean() > 5


def test_photos_have_contrast():
    for index in range(6):
        image = rendered_landmarks.render(_landmark(), index, SIZE, CLEAR).image
        assert 40 < image.mean() < 215
        assert image.std() > 20


@pytest.mark.parametrize("index", range(6))
def test_the_box_bounds_the_visible_cells(index):
    photo = rendered_landmarks.render(_landmark(), index, SIZE)
    height, width = photo.image.shape[:2]
    left, top, right, bottom = photo.view.box
    assert 0 <= left < right <= width and 0 <= top < bottom <= height
    pixels = _cell_pixels(photo.view, _landmark())
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    assert (low >= (left, top)).all() and (high <= (right, bottom)).all()
    margin = 0.15 * SIZE
    np.testing.assert_allclose(low, (left, top), atol=margin)
    np.testing.assert_allclose(high, (right, bottom), atol=margin)


def test_a_facade_without_occlusion_is_visible_as_a_whole():
    fractions = [
        rendered_landmarks.render(
            _landmark(), index, SIZE, CLEAR
        ).view.visible_fraction
        for index in range(6)
    ]
    assert np.median(fractions) > 0.99


def test_clutter_occludes_part_of_the_facade():
    crowded = SceneSettings(**{**vars(CLEAR), "mean_trees": 12})

    def visible(settings: SceneSettings) -> float:
        return np.mean(
            [
                rendered_landmarks.render(
                    _landmark(), index, SIZE, settings
                ).view.visible_fraction
                for index in range(5)
            ]
        )

    assert visible(crowded) < visible(CLEAR) - 0.1


def test_rectified_photos_match():
    """Photos rectified by their homographies coincide.

    They match best without a shift, within 1 % of the width of the facade.
    """
    settings = SceneSettings(
        **{**vars(CLEAR), "yaw_limit": 25.0, "noise_deviation": (0.0, 0.0)}
    )
    landmark = _landmark(6)
    first, second = (
        _rectified(
            rendered_landmarks.render(landmark, index, 256, settings), landmark
        )
        for index in range(2)
    )
    matches = {
        (right, down): _correlation(
            first, np.roll(second, (down, right), (0, 1))
        )
        for right in range(-6, 7, 2)
        for down in range(-6, 7, 2)
    }
    best = max(matches, key=matches.get)
    assert np.abs(best).max() <= 2
    assert matches[0, 0] > 0.6 > matches[6, 6] + 0.1


def _rectified(
    photo: rendered_landmarks.Photo, landmark: rendered_landmarks.Landmark
) -> np.ndarray:
    """Returns the rectified facade, 200 by 200 pixels of local contrast."""
    scale = np.diag([landmark.width / 200, landmark.height / 200, 1.0])
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]])
    inverse = np.linalg.inv(half) @ photo.view.homography @ scale @ half
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    grey = cv2.cvtColor(photo.image, cv2.COLOR_RGB2GRAY)
    facade = cv2.warpPerspective(grey, inverse, (200, 200), flags=flags)
    facade = facade[::-1][40:].astype(np.float32)
    return facade - cv2.GaussianBlur(facade, (0, 0), 8)


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


@pytest.mark.parametrize(
    ("arguments", "named"), [((-1, 128), "index"), ((0, 32), "size")]
)
def test_invalid_arguments_are_refused(arguments, named):
    with pytest.raises(ValueError, match=f"{named}=") as error:
        rendered_landmarks.render(_landmark(), *arguments)
    assert "Received" in str(error.value)


def test_the_mask_covers_the_visible_cells_and_nothing_far_from_them():
    landmark = _landmark()
    view = rendered_landmarks.render(landmark, 2, SIZE, CLEAR).view
    height, width = (96, 128)
    mask = rendered_landmarks.landmark_mask(view, landmark, width, height)
    columns, rows = np.floor(_cell_pixels(view, landmark)).astype(int).T
    assert mask[rows, columns].mean() > 0.95
    x1, y1, x2, y2 = view.box
    outside = mask.copy()
    outside[int(y1) : int(np.ceil(y2)), int(x1) : int(np.ceil(x2))] = False
    assert not outside.any()
    assert 0.3 * (x2 - x1) * (y2 - y1) < mask.sum()

"""Painting of textures in perspective, and their occlusion."""

import numpy as np
import pytest

from agem_tf.rendered_landmarks.camera import (
    Camera,
    apply_homography,
    look_at,
)
from agem_tf.rendered_landmarks.light import draw_light
from agem_tf.rendered_landmarks.painter import Painter, clip_near
from agem_tf.rendered_landmarks.scene_settings import SceneSettings

FACADE = np.array([(0, 0, 0), (12, 0, 0), (12, 9, 0), (0, 9, 0)], float)


def _painter(position=(3.0, 1.7, 14.0), target=(6.0, 4.0, 0.0)) -> Painter:
    position, target = np.array(position), np.array(target)
    camera = Camera(position, look_at(position, target, 2.0), 400.0, 512, 384)
    settings = SceneSettings(light_shares=(("overcast", 1.0),))
    light = draw_light(np.random.default_rng(0), settings)
    return Painter(camera, light, np.random.default_rng(1))


def _paint(painter: Painter, texture: np.ndarray) -> np.ndarray:
    """Paints a texture on the facade; returns its homography to pixels."""
    rows, columns = texture.shape[:2]
    to_metres = np.array([[12 / columns, 0, 0], [0, -9 / rows, 9], [0, 0, 1]])
    homography = painter.camera.plane_homography(np.zeros(3), *np.eye(3)[:2])
    polygon = clip_near(painter.camera, FACADE)
    painter.paint_texture(texture, homography @ to_metres, polygon, 0.0)
    return homography


@pytest.mark.parametrize("point", [(2.0, 3.0), (7.5, 6.5), (10.0, 1.5)])
def test_a_mark_on_the_facade_is_painted_at_its_projection(point):
    painter = _painter()
    texture = np.zeros((360, 480, 4), np.float32)
    x, y = round(point[0] * 40), round((9 - point[1]) * 40)
    texture[y - 8 : y + 8, x - 8 : x + 8] = 1.0
    homography = _paint(painter, texture)
    rows, columns = np.nonzero(painter.occlusion > 0.5)
    middle = (columns.mean() + 0.5, rows.mean() + 0.5)
    expected = apply_homography(homography, np.array([point]))[0]
    np.testing.assert_allclose(middle, expected, atol=0.5)


def test_occlusion_counts_only_what_is_painted_after_its_start():
    painter = _painter()
    texture = np.ones((36, 48, 4), np.float32)
    _paint(painter, texture)
    painter.start_occlusion()
    assert painter.occlusion.max() == 0
    _paint(painter, 0.5 * texture)
    assert 0.49 < painter.occlusion.max() <= 0.5001


def test_a_wall_that_passes_the_camera_has_no_mirror_image():
    """Otherwise the part behind the camera appears inverted in the sky."""
    painter = _painter(position=(6.0, 4.0, 0.5), target=(0.0, 4.0, -0.2))
    _paint(painter, np.ones((36, 48, 4), np.float32))
    homography = painter.camera.plane_homography(np.zeros(3), *np.eye(3)[:2])
    rows, columns = np.nonzero(painter.occlusion > 0.5)
    assert rows.size
    pixels = np.column_stack([columns + 0.5, rows + 0.5, np.ones(rows.size)])
    plane = pixels @ np.linalg.inv(homography).T
    plane = plane[:, :2] / plane[:, 2:]
    depths = plane @ homography[2, :2] + homography[2, 2]
    assert (depths > 0).mean() > 0.99


def test_clipping_keeps_the_part_in_front_of_the_camera():
    camera = _painter().camera
    np.testing.assert_array_equal(clip_near(camera, FACADE), FACADE)
    behind = FACADE + (0, 0, 40)
    assert len(clip_near(camera, behind)) == 0

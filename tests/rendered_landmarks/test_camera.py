"""Geometry of the camera."""

import numpy as np

from agem_tf.rendered_landmarks.camera import (
    Camera,
    apply_homography,
    look_at,
)

POSITION = np.array([4.0, 1.7, 20.0])
TARGET = np.array([6.0, 5.0, 0.0])


def _camera(roll: float = 0.0) -> Camera:
    rotation = look_at(POSITION, TARGET, roll)
    return Camera(POSITION, rotation, 300.0, 256, 192)


def _facade(camera: Camera) -> np.ndarray:
    return camera.plane_homography(np.zeros(3), np.eye(3)[0], np.eye(3)[1])


def test_the_target_is_in_the_centre_of_the_image():
    pixels = apply_homography(_facade(_camera(roll=7.0)), TARGET[None, :2])
    np.testing.assert_allclose(pixels, [[128, 96]], atol=1e-9)


def test_up_and_right_are_the_same_in_world_and_image():
    points = TARGET[:2] + np.array([(0, 0), (0, 1), (1, 0)])
    middle, above, beside = apply_homography(_facade(_camera()), points)
    assert above[1] < middle[1] - 5
    assert beside[0] > middle[0] + 5


def test_roll_rotates_the_image_by_its_angle():
    points = TARGET[:2] + np.array([(0, 0), (0.01, 0)])
    angles = []
    for roll in (0.0, 10.0):
        start, end = apply_homography(_facade(_camera(roll)), points)
        angles.append(np.degrees(np.arctan2(*(end - start)[::-1])))
    assert abs(abs(angles[1] - angles[0]) - 10.0) < 0.5


def test_plane_homography_agrees_with_the_projection():
    camera = _camera(roll=3.0)
    origin = np.array([1.0, 0.5, -4.0])
    across, upwards = np.array([0.0, 0, 1]), np.array([0.6, 0.8, 0])
    homography = camera.plane_homography(origin, across, upwards)
    point = origin + 2.5 * across + 1.5 * upwards
    x, y, depth = camera.projection @ np.append(point, 1)
    pixels = apply_homography(homography, np.array([(2.5, 1.5)]))
    np.testing.assert_allclose(pixels, [[x / depth, y / depth]])
    np.testing.assert_allclose(camera.depths(point[None]), [depth])


def test_a_ray_meets_the_point_that_projects_to_its_pixel():
    camera = _camera()
    row, column = 40, 100
    ray = camera.rays()[row, column].astype(float)
    point = POSITION + ray * (-POSITION[2] / ray[2])
    pixels = apply_homography(_facade(camera), point[None, :2])
    np.testing.assert_allclose(pixels, [[column + 0.5, row + 0.5]], atol=1e-3)

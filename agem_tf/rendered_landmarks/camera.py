"""Pinhole camera: projection, homographies of planes, random viewpoints.

World coordinates are in metres: x runs to the right along the facade of the
landmark from its left edge, y up from the ground, z from the facade towards
the viewer. Pixel centres have half-integer coordinates: the image covers
[0, width] x [0, height].
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from agem_tf.rendered_landmarks.scene_settings import SceneSettings

_UP = np.array([0.0, 1.0, 0.0])


@dataclass(frozen=True, eq=False)
class Camera:
    """Camera without lens distortion.

    Attributes:
        position: (3,) position in metres.
        rotation: (3, 3); the rows are the right, down and forward axes.
        focal_length: focal length in pixels.
        width, height: size of the image in pixels.
    """

    position: np.ndarray
    rotation: np.ndarray
    focal_length: float
    width: int
    height: int

    @cached_property
    def projection(self) -> np.ndarray:
        """(3, 4) matrix from homogeneous metres to homogeneous pixels."""
        intrinsics = np.array(
            [
                [self.focal_length, 0.0, self.width / 2],
                [0.0, self.focal_length, self.height / 2],
                [0.0, 0.0, 1.0],
            ]
        )
        pose = np.column_stack([self.rotation, -self.rotation @ self.position])
        return intrinsics @ pose

    def enlarged(self, factor: int) -> "Camera":
        """Returns the same view with an image `factor` times larger."""
        return Camera(
            self.position,
            self.rotation,
            self.focal_length * factor,
            self.width * factor,
            self.height * factor,
        )

    def depths(self, points: np.ndarray) -> np.ndarray:
        """Returns the depths (N,) of points (N, 3) in metres."""
        return (points - self.position) @ self.rotation[2]

    def plane_homography(
        self, origin: np.ndarray, across: np.ndarray, upwards: np.ndarray
    ) -> np.ndarray:
        """Returns the homography from metres on a plane to pixels.

        Args:
            origin: (3,) world point with the plane coordinates (0, 0).
            across: (3,) first unit axis of the plane.
            upwards: (3,) second unit axis of the plane.

        Returns:
            (3, 3) float64. The third homogeneous coordinate is the depth, which
            is positive in front of the camera.
        """
        axes = np.column_stack([across, upwards, origin])
        return self.projection @ np.vstack([axes, [0.0, 0.0, 1.0]])

    def rays(self, step: int = 1) -> np.ndarray:
        """Returns directions (rows, columns, 3) of every step-th pixel."""
        x = np.arange(step / 2, self.width, step) - self.width / 2
        y = np.arange(step / 2, self.height, step) - self.height / 2
        right, down, forward = self.rotation.astype(np.float32)
        x = x.astype(np.float32)[None, :, None] / np.float32(self.focal_length)
        y = y.astype(np.float32)[:, None, None] / np.float32(self.focal_length)
        return x * right + y * down + forward


def look_at(
    position: np.ndarray, target: np.ndarray, roll: float
) -> np.ndarray:
    """Returns the rotation of a camera that looks at a point.

    Args:
        position: (3,) position of the camera.
        target: (3,) point that is projected to the centre of the image.
        roll: rotation about the viewing direction in degrees.
    """
    forward = (target - position) / np.linalg.norm(target - position)
    right = np.cross(forward, _UP)
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    cosine, sine = np.cos(np.radians(roll)), np.sin(np.radians(roll))
    return np.stack(
        [cosine * right + sine * down, cosine * down - sine * right, forward]
    )


def apply_homography(homography: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Maps points (N, 2) to (N, 2); all must lie in front of the camera."""
    mapped = np.column_stack([points, np.ones(len(points))]) @ homography.T
    return mapped[:, :2] / mapped[:, 2:]


_ASPECT = 4 / 3
# Largest slopes of the viewing direction, upwards and downwards.
_STEEPEST_ASCENT = 1.1
_STEEPEST_DESCENT = 0.35


def plan_camera(
    rng: np.random.Generator,
    width: float,
    height: float,
    size: int,
    settings: SceneSettings,
) -> tuple[Camera, float]:
    """Samples a camera in front of a facade.

    Args:
        rng: random generator of the viewpoint.
        width, height: size of the facade in metres.
        size: longer side of the photo in pixels.
        settings: ranges to sample from.

    Returns:
        The camera and its yaw: the angle in degrees between the normal of the
        facade and the direction to the camera, positive to the right.
    """
    # Tall facades are more often photographed in portrait format.
    share = settings.portrait_share + 0.35 * np.clip(height / width - 1, -1, 1)
    shorter = round(size / _ASPECT)
    portrait = rng.random() < share
    columns, rows = (shorter, size) if portrait else (size, shorter)
    framing, view_angle, aim = _sample_framing(rng, settings)
    focal_length = size / (2 * np.tan(np.radians(view_angle) / 2))
    if rng.random() < settings.frontal_share:
        yaw = rng.normal(0, 9)
    else:
        yaw = settings.yaw_limit * rng.uniform(-1, 1)
    # Pixels per metre at which the rotated facade just fills the frame.
    turned = width * np.cos(np.radians(yaw))
    fitting = min(columns / max(turned, 0.4 * width), rows / height)
    distance = focal_length / (fitting * framing)
    target = np.array([width * aim[0], height * aim[1], 0.0])
    elevated = rng.random() < settings.elevated_share
    eye = rng.uniform(
        *(settings.elevated_height if elevated else settings.eye_height)
    )
    limit = settings.nearest_camera / np.cos(np.radians(yaw))
    eye = min(eye, target[1] + _STEEPEST_DESCENT * distance)
    eye = max(eye, settings.eye_height[0])
    distance = max(distance, limit, (target[1] - eye) / _STEEPEST_ASCENT)
    position = np.array(
        [
            target[0] + distance * np.sin(np.radians(yaw)),
            eye,
            distance * np.cos(np.radians(yaw)),
        ]
    )
    slack = settings.off_centre * min(framing, 1.0)
    target[0] += slack * width * rng.uniform(-1, 1)
    target[1] += slack * height * rng.uniform(-0.7, 0.7)
    roll = rng.normal(0, settings.roll_deviation)
    rotation = look_at(position, target, roll)
    return Camera(position, rotation, focal_length, columns, rows), float(yaw)


def _sample_framing(
    rng: np.random.Generator, settings: SceneSettings
) -> tuple[float, float, tuple[float, float]]:
    """Samples framing, view angle in degrees, and target within the facade."""
    kinds = ("whole", "far", "glimpse", "detail")
    shares = [getattr(settings, f"{kind}_share") for kind in kinds[:-1]]
    kind = kinds[int(np.searchsorted(np.cumsum(shares), rng.random()))]
    framing = rng.uniform(*getattr(settings, f"{kind}_framing"))
    if kind in ("whole", "far"):
        angle = rng.uniform(*settings.field_of_view)
        return framing, angle, (rng.uniform(0.4, 0.6), rng.uniform(0.4, 0.55))
    angle = rng.uniform(*settings.detail_field_of_view)
    return framing, angle, (rng.uniform(0.15, 0.85), rng.uniform(0.2, 0.8))

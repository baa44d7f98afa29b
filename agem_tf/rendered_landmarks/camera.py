"""The pinhole camera and the homographies of planes seen through it.

The world is in metres: x runs to the right along the landmark's facade from
its left edge, y up from the ground, z from the facade towards the viewer. A
pixel's centre lies at half-integers: the image covers [0, width] x [0, height].
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

UP = np.array([0.0, 1.0, 0.0])


@dataclass(frozen=True, eq=False)
class Camera:
    """A camera without lens distortion.

    Attributes:
      position: (3,) in metres.
      rotation: (3, 3), rows are the camera's right, down and forward axes.
      focal_length: in pixels.
      width: of the image in pixels.
      height: of the image in pixels.
    """

    position: np.ndarray
    rotation: np.ndarray
    focal_length: float
    width: int
    height: int

    @cached_property
    def projection(self) -> np.ndarray:
        """The (3, 4) matrix from homogeneous metres to pixels."""
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
        """The same view on an image `factor` times larger."""
        return Camera(
            self.position,
            self.rotation,
            self.focal_length * factor,
            self.width * factor,
            self.height * factor,
        )

    def depths(self, points: np.ndarray) -> np.ndarray:
        """Distances (N,) of points (N, 3) along the viewing direction."""
        return (points - self.position) @ self.rotation[2]

    def plane_homography(
        self, origin: np.ndarray, across: np.ndarray, upwards: np.ndarray
    ) -> np.ndarray:
        """Maps metres on a plane to pixels.

        Args:
          origin: (3,) the world point at plane coordinates (0, 0).
          across: (3,) the plane's first unit axis.
          upwards: (3,) the plane's second unit axis.

        Returns:
          (3, 3) float64. The third homogeneous coordinate is the depth, so it
          is positive for what lies before the camera.
        """
        axes = np.column_stack([across, upwards, origin])
        return self.projection @ np.vstack([axes, [0.0, 0.0, 1.0]])

    def rays(self, step: int = 1) -> np.ndarray:
        """World directions (rows, columns, 3) of every step-th pixel."""
        x = np.arange(step / 2, self.width, step) - self.width / 2
        y = np.arange(step / 2, self.height, step) - self.height / 2
        right, down, forward = self.rotation.astype(np.float32)
        x = x.astype(np.float32)[None, :, None] / np.float32(self.focal_length)
        y = y.astype(np.float32)[:, None, None] / np.float32(self.focal_length)
        return x * right + y * down + forward


def look_at(
    position: np.ndarray, target: np.ndarray, roll: float
) -> np.ndarray:
    """Returns the rotation of a camera that looks from a point to another.

    Args:
      position: (3,) where the camera stands.
      target: (3,) what comes to lie in the image's centre.
      roll: rotation about the viewing direction in degrees.
    """
    forward = (target - position) / np.linalg.norm(target - position)
    right = np.cross(forward, UP)
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    cosine, sine = np.cos(np.radians(roll)), np.sin(np.radians(roll))
    return np.stack(
        [
            cosine * right + sine * down,
            cosine * down - sine * right,
            forward,
        ]
    )


def apply_homography(homography: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Maps points (N, 2) to (N, 2); infinite or behind is the caller's care."""
    mapped = np.column_stack([points, np.ones(len(points))]) @ homography.T
    return mapped[:, :2] / mapped[:, 2:]

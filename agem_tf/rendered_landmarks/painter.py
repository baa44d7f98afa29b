"""Painter's algorithm: flat textures are painted from far to near.

The painter also records which share of every pixel has been painted over since
a given moment, from which the visible part of a landmark is computed.
"""

import cv2
import numpy as np

from agem_tf.rendered_landmarks.camera import Camera
from agem_tf.rendered_landmarks.light import Light
from agem_tf.rendered_landmarks.shading import Orientation, lit_texture
from agem_tf.rendered_landmarks.wall_surface import Surface

_NEAREST_DEPTH = 0.3
# Texture pixels per frame pixel; the frame itself is reduced later.
_TEXTURE_SHARPNESS = 0.55

_HALF_PIXEL = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]])


class Painter:
    """Frame in linear light, with the occlusion of each pixel.

    Args:
        camera: camera of the frame.
        light: light of the photo.
        rng: random generator of reflections and cast shadows.

    Attributes:
        frame: (rows, columns, 4) float32: linear RGB, and the share of the
            pixel covered since `start_occlusion`, in [0, 1].
    """

    def __init__(self, camera: Camera, light: Light, rng: np.random.Generator):
        self.camera = camera
        self.light = light
        self.rng = rng
        self.frame = np.zeros((camera.height, camera.width, 4), np.float32)

    @property
    def light_field(self) -> np.ndarray:
        """(rows, columns, 3) view of the frame's linear RGB."""
        return self.frame[..., :3]

    @property
    def occlusion(self) -> np.ndarray:
        """(rows, columns) view of the frame's last channel."""
        return self.frame[..., 3]

    def start_occlusion(self) -> None:
        """Counts only what is painted from now on as occluding."""
        self.occlusion[:] = 0

    def paint_surface(
        self,
        surface: Surface,
        origin: np.ndarray,
        orientation: Orientation,
        detailed: bool = True,
    ) -> None:
        """Lights a wall and paints it.

        Args:
            surface: the wall.
            origin: (3,) world point with the plane coordinates (0, 0).
            orientation: axes of the wall in the world.
            detailed: whether the relief is shaded.
        """
        if (self.camera.position - origin) @ orientation.normal <= 0:
            return
        axes = np.stack([orientation.across, orientation.upwards])
        polygon = clip_near(self.camera, origin + surface.corners @ axes)
        if len(polygon) < 3 or self._region(self._to_pixels(polygon)) is None:
            return
        reduced = surface.at_resolution(self._resolution(polygon))
        texture = lit_texture(
            reduced, orientation, self.light, self.rng, detailed
        )
        homography = (
            self.camera.plane_homography(
                origin, orientation.across, orientation.upwards
            )
            @ reduced.to_plane()
        )
        depth = float(np.mean(self.camera.depths(polygon)))
        self.paint_texture(texture, homography, polygon, depth)

    def _resolution(self, polygon: np.ndarray) -> float:
        """Returns the texture pixels per metre that the photo can show."""
        depths = self.camera.depths(polygon)
        typical = max(0.5 * (depths.min() + depths.mean()), 2.0)
        return _TEXTURE_SHARPNESS * self.camera.focal_length / typical

    def _region(self, corners: np.ndarray) -> tuple[slice, slice] | None:
        """Returns rows and columns of the frame around points, if any."""
        limits = (self.camera.width, self.camera.height)
        low = np.clip(np.floor(corners.min(axis=0)) - 1, 0, limits)
        high = np.clip(np.ceil(corners.max(axis=0)) + 1, 0, limits)
        if (low >= high).any():
            return None
        return (
            slice(int(low[1]), int(high[1])),
            slice(int(low[0]), int(high[0])),
        )

    def paint_texture(
        self,
        texture: np.ndarray,
        homography: np.ndarray,
        polygon: np.ndarray,
        depth: float,
    ) -> None:
        """Warps a premultiplied texture into the frame.

        Args:
            texture: (rows, columns, 4) float32.
            homography: (3, 3) map from the continuous pixels of the texture to
                those of the frame.
            polygon: (N, 3) corners of the visible part in the world.
            depth: mean depth in metres, which determines the haze.
        """
        corners = self._to_pixels(polygon)
        region = self._region(corners)
        if region is None:
            return
        rows, columns = region
        low = np.array([columns.start, rows.start])
        size = (columns.stop - columns.start, rows.stop - rows.start)
        shift = np.array([[1, 0, -low[0]], [0, 1, -low[1]], [0, 0, 1.0]])
        matrix = np.linalg.inv(_HALF_PIXEL) @ shift @ homography @ _HALF_PIXEL
        warped = cv2.warpPerspective(
            self._veiled(texture, depth), matrix, size, flags=cv2.INTER_LINEAR
        )
        if _reaches_behind(texture, homography):
            _clear_outside(warped, corners - low)
        rest = 1 - np.ascontiguousarray(warped[..., 3])
        kept = cv2.multiply(self.frame[region], cv2.merge([rest] * 4))
        self.frame[region] = cv2.add(kept, warped)

    def _veiled(self, texture: np.ndarray, depth: float) -> np.ndarray:
        """Mixes a texture with the haze between it and the camera."""
        clear = float(np.exp(-self.light.haze * depth / 100))
        mix = np.eye(4) * (clear, clear, clear, 1)
        mix[:3, 3] = np.array(self.light.condition.horizon) * (1 - clear)
        return cv2.transform(texture, mix)

    def _to_pixels(self, points: np.ndarray) -> np.ndarray:
        """Projects points (N, 3) to continuous pixels (N, 2)."""
        matrix = self.camera.projection
        mapped = points @ matrix[:, :3].T + matrix[:, 3]
        return mapped[:, :2] / mapped[:, 2:]


def _reaches_behind(texture: np.ndarray, homography: np.ndarray) -> bool:
    """Returns whether a corner of the texture lies behind the camera."""
    rows, columns = texture.shape[:2]
    corners = np.array([(0, 0), (columns, 0), (columns, rows), (0, rows)])
    return bool((corners @ homography[2, :2] + homography[2, 2] <= 0).any())


def _clear_outside(warped: np.ndarray, corners: np.ndarray) -> None:
    """Removes the mirror image of the part behind the camera, in place."""
    mask = np.zeros(warped.shape[:2], np.uint8)
    fixed = np.round(np.clip(corners, -2e4, 2e4) * 16 - 8)
    cv2.fillPoly(mask, [fixed.astype(np.int32)], 255, shift=4)
    mask = cv2.dilate(mask, np.ones((3, 3), np.uint8))
    warped[mask == 0] = 0


def clip_near(camera: Camera, polygon: np.ndarray) -> np.ndarray:
    """Clips a polygon (N, 3) at a plane just in front of the camera."""
    depths = camera.depths(polygon) - _NEAREST_DEPTH
    kept = []
    for index in range(len(polygon)):
        here, before = depths[index], depths[index - 1]
        if (here > 0) != (before > 0):
            share = before / (before - here)
            step = polygon[index] - polygon[index - 1]
            kept.append(polygon[index - 1] + share * step)
        if here > 0:
            kept.append(polygon[index])
    return np.array(kept).reshape(-1, 3)

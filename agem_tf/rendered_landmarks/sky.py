"""Paints the sky: a gradient from horizon to zenith, clouds, the sun's glow."""

import cv2
import numpy as np

from agem_tf.rendered_landmarks.camera import Camera
from agem_tf.rendered_landmarks.light import Light
from agem_tf.rendered_landmarks.noise import TILE_SIZE, fractal_tile

COARSENESS = 4
"""Clouds are soft, so the sky is computed at a fraction of the resolution."""


def sky_image(
    camera: Camera, light: Light, rng: np.random.Generator
) -> np.ndarray:
    """Returns the sky seen by a camera, also below the horizon.

    Returns:
      (height, width, 3) float32 linear RGB.
    """
    rays = camera.rays(COARSENESS)
    rays /= np.linalg.norm(rays, axis=2, keepdims=True)
    height = np.clip(rays[..., 1], 0, 1)
    blue = (height**0.55)[..., None]
    condition = light.condition
    horizon = np.array(condition.horizon, np.float32)
    sky = horizon * (1 - blue) + np.array(condition.zenith, np.float32) * blue
    cover = _cloud_cover(rays, light, rng)
    sky += (np.array(condition.cloud, np.float32) - sky) * cover[..., None]
    sky += _glow(rays, light)[..., None] * np.array(condition.sun, np.float32)
    size = (camera.width, camera.height)
    return cv2.resize(sky, size, interpolation=cv2.INTER_LINEAR)


def _cloud_cover(
    rays: np.ndarray, light: Light, rng: np.random.Generator
) -> np.ndarray:
    """Opacity of clouds that float on a plane above the camera."""
    elevation = np.maximum(rays[..., 1], 0.04)
    zoom = rng.uniform(60, 130)
    shift = rng.uniform(0, TILE_SIZE, 2)
    angle = rng.uniform(0, np.pi)
    x = rays[..., 0] / elevation * zoom
    z = rays[..., 2] / elevation * zoom
    map_x = (np.cos(angle) * x - np.sin(angle) * z + shift[0]) % TILE_SIZE
    map_y = (np.sin(angle) * x + np.cos(angle) * z + shift[1]) % TILE_SIZE
    tile = fractal_tile(int(rng.integers(4)), 1.6)
    noise = cv2.remap(
        tile,
        map_x.astype(np.float32),
        map_y.astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_WRAP,
    )
    threshold = 1.6 - 3.0 * light.cloudiness
    opacity = np.clip((noise - threshold) * 0.9, 0, 1)
    fade = np.clip(rays[..., 1] * 7, 0, 1)
    return (opacity * fade * 0.92).astype(np.float32)


def _glow(rays: np.ndarray, light: Light) -> np.ndarray:
    """Brightness round the sun."""
    cosine = np.clip(rays @ light.direction.astype(np.float32), 0, 1)
    return 0.35 * cosine**6 + 1.5 * cosine**90

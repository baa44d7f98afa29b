"""Paints the ground: pavement, asphalt, cobbles or grass before the walls."""

import cv2
import numpy as np

from agem_tf.rendered_landmarks.camera import Camera
from agem_tf.rendered_landmarks.light import Light
from agem_tf.rendered_landmarks.noise import TILE_SIZE, fractal_tile

TEXELS_PER_METRE = 40.0
COARSENESS = 2
"""The ground is computed at half the frame's resolution, which is enough."""

KINDS = ("slabs", "asphalt", "cobbles", "grass")
COLORS = {
    "slabs": (0.33, 0.31, 0.28),
    "asphalt": (0.085, 0.087, 0.09),
    "cobbles": (0.19, 0.18, 0.17),
    "grass": (0.075, 0.12, 0.032),
}
"""Linear albedo."""
GRAIN = {"slabs": 0.12, "asphalt": 0.16, "cobbles": 0.22, "grass": 0.34}
JOINTS = {"slabs": 0.8, "cobbles": 0.2}
"""Side of the stones in metres."""

HOUSE_HEIGHT = 18.0
FARTHEST = 1500.0


def paint_ground(
    frame: np.ndarray, camera: Camera, light: Light, rng: np.random.Generator
) -> None:
    """Paints everything below the horizon, in place.

    Args:
      frame: (height, width, 3) float32 linear RGB with the sky in it.
      camera: of the frame.
      light: of the photograph.
      rng: chooses the materials.
    """
    kinds = rng.choice(KINDS, 2)
    kerb = rng.uniform(3.0, 9.0)
    shift = rng.uniform(0, TILE_SIZE, 2)
    rays = camera.rays(COARSENESS)
    below = np.flatnonzero((rays[..., 1] < 0).any(axis=1))
    if not below.size:
        return
    top = below[0]
    rays = rays[top:]
    falling = np.maximum(-rays[..., 1], np.float32(1e-4))
    distance = np.float32(camera.position[1]) / falling
    x = np.float32(camera.position[0]) + rays[..., 0] * distance
    z = np.float32(camera.position[2]) + rays[..., 2] * distance
    color = _albedo(kinds, kerb, x, z, distance, shift)
    color *= _incoming(z, light)
    _veil(color, distance, light)
    rows = frame[top * COARSENESS :]
    size = (frame.shape[1], frame.shape[0] - top * COARSENESS)
    focal_length = np.float32(camera.focal_length / COARSENESS)
    seen = np.clip(-rays[..., 1] * focal_length, 0, 1)
    color = cv2.resize(color, size, interpolation=cv2.INTER_LINEAR)
    seen = cv2.resize(seen, size, interpolation=cv2.INTER_LINEAR)
    rows += (color - rows) * seen[..., None]


def _albedo(kinds, kerb, x, z, distance, shift) -> np.ndarray:
    """Two strips of material that meet at a kerb, `kerb` metres from z = 0."""
    near, far = (_strip(kind, x, z, distance, shift) for kind in kinds)
    beyond = np.clip((z - np.float32(kerb)) * 8, 0, 1)
    edge = 1 - 0.5 * np.exp(-(((z - np.float32(kerb)) * 6) ** 2))
    planes = []
    for channel in range(3):
        inner = near * np.float32(COLORS[kinds[0]][channel])
        outer = far * np.float32(COLORS[kinds[1]][channel])
        planes.append((inner + (outer - inner) * beyond) * edge)
    return cv2.merge(planes)


def _strip(kind, x, z, distance, shift) -> np.ndarray:
    """Brightness factors of a material; detail fades with distance."""
    fade = 1 / (1 + (distance * np.float32(1 / 18)) ** 2)
    grain = _sample(0.8, x * TEXELS_PER_METRE, z * TEXELS_PER_METRE, shift)
    stains = _sample(1.3, x * 6, z * 6, shift[::-1])
    tone = 1 + np.float32(GRAIN[kind]) * (0.8 * grain * fade + 0.8 * stains)
    if kind in JOINTS:
        tone *= 1 - 0.5 * fade * _joints(x, z, JOINTS[kind])
    return np.clip(tone, 0.2, 2)


def _sample(roughness, x, y, shift) -> np.ndarray:
    return cv2.remap(
        fractal_tile(1, roughness),
        np.mod(x + np.float32(shift[0]), np.float32(TILE_SIZE)),
        np.mod(y + np.float32(shift[1]), np.float32(TILE_SIZE)),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_WRAP,
    )


def _joints(x: np.ndarray, z: np.ndarray, side: float) -> np.ndarray:
    """1 in the gaps between square stones laid in bond."""
    z = z * np.float32(1 / side)
    row = np.floor(z)
    x = x * np.float32(1 / side) + np.float32(0.5) * (row % 2)
    across = np.abs(x - np.floor(x) - np.float32(0.5))
    along = np.abs(z - row - np.float32(0.5))
    return np.clip((np.maximum(across, along) - 0.45) * 20, 0, 1)


def _incoming(z: np.ndarray, light: Light) -> np.ndarray:
    """Light on the ground, with the shadow that the row of houses casts."""
    condition = light.condition
    openness = 1 - 0.55 * np.exp(np.abs(z) * np.float32(-1 / 1.5))
    sun = np.full_like(z, max(float(light.direction[1]), 0.0))
    if light.direction[2] < 0:
        slope = -light.direction[2] / max(light.direction[1], 0.1)
        sun *= np.clip((z - np.float32(HOUSE_HEIGHT * slope)) * 3, 0, 1)
    flood = 0.8 * np.exp(np.abs(z) * np.float32(-0.06))
    return cv2.merge(
        [
            openness * np.float32(condition.ambient[channel])
            + sun * np.float32(condition.sun[channel])
            + flood * np.float32(light.floodlight[channel])
            for channel in range(3)
        ]
    )


def _veil(color: np.ndarray, distance: np.ndarray, light: Light) -> None:
    """Fades the ground into the haze, in place."""
    reach = np.minimum(distance, np.float32(FARTHEST))
    clear = np.exp(reach * np.float32(-light.haze / 100))
    clear *= np.clip(2 - distance * np.float32(2 / FARTHEST), 0, 1)
    horizon = np.array(light.condition.horizon, np.float32)
    color -= horizon
    color *= clear[..., None]
    color += horizon

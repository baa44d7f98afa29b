"""Sky and ground behind and in front of the buildings.

The sky has a gradient from horizon to zenith, clouds and the glow of the sun;
the ground is pavement, asphalt, cobbles or grass.
"""

import cv2
import numpy as np

from agem_tf.rendered_landmarks.camera import Camera
from agem_tf.rendered_landmarks.light import Light
from agem_tf.rendered_landmarks.noise import TILE_SIZE, fractal_tile

# Frame pixels per pixel of the computed sky; clouds have no fine detail.
_SKY_COARSENESS = 4
_TEXELS_PER_METRE = 40.0
# Frame pixels per pixel of the computed ground.
_GROUND_COARSENESS = 2

_KINDS = ("slabs", "asphalt", "cobbles", "grass")
# Linear albedo of each material.
_COLORS = {
    "slabs": (0.33, 0.31, 0.28),
    "asphalt": (0.085, 0.087, 0.09),
    "cobbles": (0.19, 0.18, 0.17),
    "grass": (0.075, 0.12, 0.032),
}
_GRAIN = {"slabs": 0.12, "asphalt": 0.16, "cobbles": 0.22, "grass": 0.34}
# Side of the stones of a material in metres.
_JOINTS = {"slabs": 0.8, "cobbles": 0.2}

_HOUSE_HEIGHT = 18.0
_FARTHEST = 1500.0


def sky_image(
    camera: Camera, light: Light, rng: np.random.Generator
) -> np.ndarray:
    """Returns the sky, extended below the horizon.

    Args:
        camera: camera of the frame.
        light: light of the photo.
        rng: random generator of the clouds.

    Returns:
        (height, width, 3) float32 linear RGB.
    """
    rays = camera.rays(_SKY_COARSENESS)
    rays /= np.linalg.norm(rays, axis=2, keepdims=True)
    height = np.clip(rays[..., 1], 0, 1)
    blue = (height**0.55)[..., None]
    condition = light.condition
    horizon = np.array(condition.horizon, np.float32)
    sky = horizon * (1 - blue) + np.array(condition.zenith, np.float32) * blue
    cover = _cloud_cover(rays, light, rng)
    sky += (np.array(condition.cloud, np.float32) - sky) * cover[..., None]
    cosine = np.clip(rays @ light.direction.astype(np.float32), 0, 1)
    glow = 0.35 * cosine**6 + 1.5 * cosine**90
    sky += glow[..., None] * np.array(condition.sun, np.float32)
    size = (camera.width, camera.height)
    return cv2.resize(sky, size, interpolation=cv2.INTER_LINEAR)


def _cloud_cover(
    rays: np.ndarray, light: Light, rng: np.random.Generator
) -> np.ndarray:
    """Returns the opacity of clouds on a plane above the camera."""
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


def paint_ground(
    frame: np.ndarray, camera: Camera, light: Light, rng: np.random.Generator
) -> None:
    """Paints the ground below the horizon, in place.

    Args:
        frame: (height, width, 3) float32 linear RGB that holds the sky.
        camera: camera of the frame.
        light: light of the photo.
        rng: random generator of the materials.
    """
    kinds = rng.choice(_KINDS, 2)
    kerb = rng.uniform(3.0, 9.0)
    shift = rng.uniform(0, TILE_SIZE, 2)
    rays = camera.rays(_GROUND_COARSENESS)
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
    color *= _light_on_ground(z, light)
    _veil(color, distance, light)
    rows = frame[top * _GROUND_COARSENESS :]
    size = (frame.shape[1], frame.shape[0] - top * _GROUND_COARSENESS)
    focal_length = np.float32(camera.focal_length / _GROUND_COARSENESS)
    seen = np.clip(-rays[..., 1] * focal_length, 0, 1)
    color = cv2.resize(color, size, interpolation=cv2.INTER_LINEAR)
    seen = cv2.resize(seen, size, interpolation=cv2.INTER_LINEAR)
    rows += (color - rows) * seen[..., None]


def _albedo(
    kinds: np.ndarray,
    kerb: float,
    x: np.ndarray,
    z: np.ndarray,
    distance: np.ndarray,
    shift: np.ndarray,
) -> np.ndarray:
    """Returns the albedo of two materials that meet at a kerb, z = `kerb`."""
    near, far = (_strip(kind, x, z, distance, shift) for kind in kinds)
    beyond = np.clip((z - np.float32(kerb)) * 8, 0, 1)
    edge = 1 - 0.5 * np.exp(-(((z - np.float32(kerb)) * 6) ** 2))
    planes = []
    for channel in range(3):
        inner = near * np.float32(_COLORS[kinds[0]][channel])
        outer = far * np.float32(_COLORS[kinds[1]][channel])
        planes.append((inner + (outer - inner) * beyond) * edge)
    return cv2.merge(planes)


def _strip(
    kind: str,
    x: np.ndarray,
    z: np.ndarray,
    distance: np.ndarray,
    shift: np.ndarray,
) -> np.ndarray:
    """Returns brightness factors of a material; detail fades with distance."""
    fade = 1 / (1 + (distance * np.float32(1 / 18)) ** 2)
    grain = _sample(0.8, x * _TEXELS_PER_METRE, z * _TEXELS_PER_METRE, shift)
    stains = _sample(1.3, x * 6, z * 6, shift[::-1])
    tone = 1 + np.float32(_GRAIN[kind]) * (0.8 * grain * fade + 0.8 * stains)
    if kind in _JOINTS:
        tone *= 1 - 0.5 * fade * _joints(x, z, _JOINTS[kind])
    return np.clip(tone, 0.2, 2)


def _sample(
    roughness: float, x: np.ndarray, y: np.ndarray, shift: np.ndarray
) -> np.ndarray:
    """Samples a tile of noise at coordinates in tile pixels."""
    return cv2.remap(
        fractal_tile(1, roughness),
        np.mod(x + np.float32(shift[0]), np.float32(TILE_SIZE)),
        np.mod(y + np.float32(shift[1]), np.float32(TILE_SIZE)),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_WRAP,
    )


def _joints(x: np.ndarray, z: np.ndarray, side: float) -> np.ndarray:
    """Returns 1 in the joints between square stones laid in bond."""
    z = z * np.float32(1 / side)
    row = np.floor(z)
    x = x * np.float32(1 / side) + np.float32(0.5) * (row % 2)
    across = np.abs(x - np.floor(x) - np.float32(0.5))
    along = np.abs(z - row - np.float32(0.5))
    return np.clip((np.maximum(across, along) - 0.45) * 20, 0, 1)


def _light_on_ground(z: np.ndarray, light: Light) -> np.ndarray:
    """Returns the light on the ground; the row of houses casts a shadow."""
    condition = light.condition
    openness = 1 - 0.55 * np.exp(np.abs(z) * np.float32(-1 / 1.5))
    sun = np.full_like(z, max(float(light.direction[1]), 0.0))
    if light.direction[2] < 0:
        slope = -light.direction[2] / max(light.direction[1], 0.1)
        sun *= np.clip((z - np.float32(_HOUSE_HEIGHT * slope)) * 3, 0, 1)
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
    reach = np.minimum(distance, np.float32(_FARTHEST))
    clear = np.exp(reach * np.float32(-light.haze / 100))
    clear *= np.clip(2 - distance * np.float32(2 / _FARTHEST), 0, 1)
    horizon = np.array(light.condition.horizon, np.float32)
    color -= horizon
    color *= clear[..., None]
    color += horizon

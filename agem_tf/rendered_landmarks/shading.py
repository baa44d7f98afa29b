"""Shading of walls: sun on the relief, shadows, reflections, lit windows.

Computed in the plane of the wall, before the perspective projection, where
neighbours on the relief are neighbouring pixels.
"""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from agem_tf.rendered_landmarks.light import Light
from agem_tf.rendered_landmarks.noise import noise_field
from agem_tf.rendered_landmarks.wall_surface import Surface, relief_metres

# Linear value of each sRGB value.
LINEAR = ((np.arange(256) / 255.0) ** 2.2).astype(np.float32)

_SHADOW_REACH = 1.6
_SHADOW_STEPS = 5
LAMP = np.array([1.0, 0.72, 0.38], np.float32)
_FLOODLIGHT_REACH = 14.0


@dataclass(frozen=True, eq=False)
class Orientation:
    """Axes of a wall in the world, unit vectors (3,)."""

    across: np.ndarray
    upwards: np.ndarray

    @cached_property
    def normal(self) -> np.ndarray:
        """Unit normal of the wall, (3,)."""
        return np.cross(self.across, self.upwards)


def lit_texture(
    surface: Surface,
    orientation: Orientation,
    light: Light,
    rng: np.random.Generator,
    detailed: bool = True,
) -> np.ndarray:
    """Returns the lit wall in its own plane.

    Args:
        surface: the wall, at the resolution of the result.
        orientation: orientation of the wall in the world.
        light: light of the photo.
        rng: random generator of reflections and cast shadows.
        detailed: whether the relief is shaded; False for distant walls.

    Returns:
        (rows, columns, 4) float32: linear RGB times coverage, and coverage.
    """
    sun = np.array(
        [
            light.direction @ orientation.across,
            light.direction @ orientation.upwards,
            light.direction @ orientation.normal,
        ]
    )
    shape = surface.relief.shape
    direct = np.full(shape, max(sun[2], 0.0), np.float32)
    if detailed and sun[2] > 0.03:
        direct = _sun_on_relief(surface, sun)
    if light.cast_shadow and sun[2] > 0:
        direct = direct * _cast_shadow(rng, surface)
    color = cv2.LUT(surface.albedo, LINEAR)
    cv2.multiply(color, _incoming(surface, direct, light), dst=color)
    planes = list(cv2.split(color))
    if surface.panes.any():
        _glaze(planes, surface, light, rng)
    coverage = surface.coverage.astype(np.float32) * np.float32(1 / 255)
    for plane in planes:
        plane *= coverage
    return cv2.merge([*planes, coverage])


def _incoming(surface: Surface, direct: np.ndarray, light: Light) -> np.ndarray:
    """Returns the light (rows, columns, 3) incident on each pixel."""
    condition = light.condition
    openness = surface.openness.astype(np.float32) * np.float32(1 / 255)
    rows = np.arange(surface.relief.shape[0], dtype=np.float32)[:, None]
    height = surface.top - rows / np.float32(surface.pixels_per_metre)
    flood = openness * np.exp(-height / np.float32(_FLOODLIGHT_REACH))
    planes = [
        direct * np.float32(condition.sun[channel])
        + openness * np.float32(condition.ambient[channel])
        + flood * np.float32(light.floodlight[channel])
        for channel in range(3)
    ]
    return cv2.merge(planes)


def _sun_on_relief(surface: Surface, sun: np.ndarray) -> np.ndarray:
    """Returns the cosine of the sun's incidence, 0 in shadows of the relief."""
    heights = relief_metres(surface)
    scale = np.float32(surface.pixels_per_metre * 0.5)
    slope_x = cv2.Sobel(heights, cv2.CV_32F, 1, 0, ksize=1, scale=scale)
    slope_y = cv2.Sobel(heights, cv2.CV_32F, 0, 1, ksize=1, scale=scale)
    length = cv2.sqrt(1 + slope_x * slope_x + slope_y * slope_y)
    facing = -slope_x * np.float32(sun[0]) + slope_y * np.float32(sun[1])
    facing = np.clip((facing + np.float32(sun[2])) / length, 0, None)
    return facing * _unshadowed(heights, sun, surface.pixels_per_metre)


def _unshadowed(
    heights: np.ndarray, sun: np.ndarray, pixels_per_metre: float
) -> np.ndarray:
    """Returns 1 where no higher relief lies between a pixel and the sun."""
    lateral = sun[:2] / max(np.hypot(*sun[:2]), 1e-6)
    rise = sun[2] / max(np.hypot(*sun[:2]), 1e-6)
    excess = np.zeros_like(heights)
    for step in range(1, _SHADOW_STEPS + 1):
        reach = _SHADOW_REACH * (step / _SHADOW_STEPS) ** 1.5
        pixels = reach * pixels_per_metre
        shift = (round(lateral[0] * pixels), round(-lateral[1] * pixels))
        towards_sun = _shifted(heights, *shift)
        np.maximum(
            excess, towards_sun - np.float32(reach * rise) - heights, out=excess
        )
    lit = 1 - cv2.blur(np.clip(excess * 12, 0, 1), (3, 3))
    return lit


def _shifted(image: np.ndarray, right: int, down: int) -> np.ndarray:
    """Returns the image sampled at an offset in pixels, 0 outside."""
    moved = np.zeros_like(image)
    rows, columns = image.shape
    if abs(right) >= columns or abs(down) >= rows:
        return moved
    source = image[
        max(down, 0) : rows + min(down, 0),
        max(right, 0) : columns + min(right, 0),
    ]
    moved[
        max(-down, 0) : rows + min(-down, 0),
        max(-right, 0) : columns + min(-right, 0),
    ] = source
    return moved


def _cast_shadow(rng: np.random.Generator, surface: Surface) -> np.ndarray:
    """Returns the shadow of a tree or of the opposite house, 0 where dark."""
    rows, columns = surface.relief.shape
    scale = surface.pixels_per_metre
    if rng.random() < 0.5:
        leaves = noise_field(rng, (rows, columns), 14 / scale, 0.9)
        cover = noise_field(rng, (rows, columns), 1.2 / scale, 1.4)
        shade = np.clip(0.5 + 1.5 * leaves + 2.0 * (cover - 0.4), 0, 1)
    else:
        slope = rng.uniform(-1.2, 1.2)
        edge = rng.uniform(0.15, 0.75)
        x = np.linspace(0, 1, columns, dtype=np.float32)[None]
        y = np.linspace(1, 0, rows, dtype=np.float32)[:, None]
        step = (np.floor(x * 4 + rng.uniform()) % 2) * rng.uniform(0, 0.2)
        shade = np.clip((edge + slope * (x - 0.5) + step - y) * 40, 0, 1)
    return (1 - 0.94 * shade).astype(np.float32)


def _glaze(
    planes: list[np.ndarray],
    surface: Surface,
    light: Light,
    rng: np.random.Generator,
) -> None:
    """Adds reflections of the sky and lamps behind panes, in place."""
    panes = surface.panes
    brightness = rng.uniform(0, 1, 256).astype(np.float32)
    lamps = np.where(
        rng.uniform(0, 1, 256) < light.lit_windows, 0.12 + brightness, 0.0
    ).astype(np.float32)
    reflectance = rng.uniform(0.04, 0.3) * (0.4 + 1.2 * brightness)
    lamps[0] = reflectance[0] = 0.0
    rows, columns = panes.shape
    coarse = (rows // 8 + 1, columns // 8 + 1)
    mirrored = noise_field(rng, coarse, 40 / surface.pixels_per_metre, 1.4)
    sky = np.clip(0.6 + 0.4 * mirrored, 0, 1.2)
    sky = cv2.resize(sky, (columns, rows))
    sky *= cv2.LUT(panes, reflectance.astype(np.float32))
    for channel, plane in enumerate(planes):
        zenith = light.condition.zenith[channel]
        horizon = light.condition.horizon[channel]
        plane += sky * np.float32(0.6 * horizon + 0.4 * zenith)
    if lamps.any():
        _light_rooms(planes, surface, cv2.LUT(panes, lamps))


def _light_rooms(
    planes: list[np.ndarray], surface: Surface, glow: np.ndarray
) -> None:
    """Adds lamplight behind panes, coloured by curtains and glass, in place."""
    rooms = cv2.split(cv2.LUT(surface.albedo, LINEAR))
    for plane, room, lamp in zip(planes, rooms, LAMP, strict=True):
        shown = 0.15 + 0.85 * room / (room + np.float32(0.15))
        plane += glow * shown * (np.float32(1.1) * lamp)

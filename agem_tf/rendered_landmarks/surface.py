"""A finished wall: colour, relief and materials, with smaller copies of it.

The grain of the material and the dirt of the years are laid over a drawn
canvas here, in numbers of metres, so that they do not depend on resolution.
"""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from agem_tf.rendered_landmarks.canvas import (
    GLASS,
    NOTHING,
    RELIEF_PER_METRE,
    RELIEF_ZERO,
    ROOF,
    SUPERSAMPLING,
    WALL,
    Canvas,
)
from agem_tf.rendered_landmarks.noise import noise_field

BLOCKS = {"ashlar": (1.1, 0.5), "brick": (0.5, 0.17), "panel": (3.0, 1.7)}
"""Width and height of a wall's stones in metres."""


@dataclass(frozen=True, eq=False)
class Surface:
    """A flat wall with relief, ready to be lit.

    Attributes:
      albedo: (rows, columns, 3) uint8 sRGB.
      relief: (rows, columns) uint8; see `canvas.RELIEF_ZERO`.
      openness: (rows, columns) uint8, 255 where all the sky's light arrives.
      coverage: (rows, columns) uint8, 0 outside of the silhouette.
      panes: (rows, columns) uint8, 0 or the number of a window.
      pixels_per_metre: resolution.
      left, top: plane coordinates of the image's upper left corner in metres.
    """

    albedo: np.ndarray
    relief: np.ndarray
    openness: np.ndarray
    coverage: np.ndarray
    panes: np.ndarray
    pixels_per_metre: float
    left: float
    top: float

    @cached_property
    def half(self) -> "Surface":
        """The same surface at half the resolution."""
        rows, columns = self.relief.shape
        size = (max(columns // 2, 1), max(rows // 2, 1))

        def smaller(image: np.ndarray) -> np.ndarray:
            return cv2.resize(image, size, interpolation=cv2.INTER_AREA)

        return Surface(
            smaller(self.albedo),
            smaller(self.relief),
            smaller(self.openness),
            smaller(self.coverage),
            cv2.resize(self.panes, size, interpolation=cv2.INTER_NEAREST),
            self.pixels_per_metre * size[0] / columns,
            self.left,
            self.top,
        )

    def at_resolution(self, pixels_per_metre: float) -> "Surface":
        """The smallest copy that still has the resolution asked for."""
        surface = self
        while (
            surface.pixels_per_metre > 1.6 * pixels_per_metre
            and min(surface.relief.shape) > 16
        ):
            surface = surface.half
        return surface

    @property
    def corners(self) -> np.ndarray:
        """(4, 2) the image's corners in plane metres."""
        width = self.relief.shape[1] / self.pixels_per_metre
        height = self.relief.shape[0] / self.pixels_per_metre
        steps = np.array([(0, 0), (width, 0), (width, -height), (0, -height)])
        return steps + (self.left, self.top)

    def to_plane(self) -> np.ndarray:
        """(3, 3) map from the image's continuous pixels to plane metres."""
        step = 1 / self.pixels_per_metre
        return np.array([[step, 0, self.left], [0, -step, self.top], [0, 0, 1]])


def finish(
    canvas: Canvas, rng: np.random.Generator, pattern: str, weathering: float
) -> Surface:
    """Turns a drawn canvas into a weathered surface.

    Args:
      canvas: what was drawn.
      rng: of the grain and the dirt.
      pattern: of the wall, see `styles.Style`.
      weathering: how dirty it is, in [0, 1].
    """
    rows, columns = canvas.data.shape[:2]
    size = (columns // SUPERSAMPLING, rows // SUPERSAMPLING)

    def reduced(image: np.ndarray) -> np.ndarray:
        return cv2.resize(image, size, interpolation=cv2.INTER_AREA)

    relief, material, panes = cv2.split(canvas.data)
    material = material[1::SUPERSAMPLING, 1::SUPERSAMPLING]
    panes = panes[1::SUPERSAMPLING, 1::SUPERSAMPLING]
    coverage = reduced(
        np.where(canvas.data[..., 1] > NOTHING, 255, 0).astype(np.uint8)
    )
    relief = reduced(relief)
    scale = canvas.resolution / SUPERSAMPLING
    tone = _grain(rng, material, scale, pattern)
    tone *= _dirt(rng, material.shape, scale, weathering)
    tone = np.where(material == GLASS, 1.0, tone).astype(np.float32)
    drawn = reduced(canvas.color)
    tinted = drawn * tone[..., None]
    albedo = np.clip(tinted, 0, 255).astype(np.uint8)
    return Surface(
        albedo,
        relief,
        _openness(relief, scale),
        coverage,
        panes,
        scale,
        canvas.left,
        canvas.top,
    )


def _grain(
    rng: np.random.Generator, material: np.ndarray, scale: float, pattern: str
) -> np.ndarray:
    """Brightness factors of the material's texture."""
    fine = noise_field(rng, material.shape, 1.0, 0.5) * 0.035
    coarse = noise_field(rng, material.shape, 4.0 / scale * 6, 1.2) * 0.05
    tone = 1 + fine + coarse
    if pattern in BLOCKS:
        stones = _blocks(rng, material.shape, scale, *BLOCKS[pattern])
        tone = np.where(material == WALL, tone * stones, tone)
    tiles = _blocks(rng, material.shape, scale, 0.7, 0.42)
    return np.where(material == ROOF, tone * tiles, tone)


def _blocks(
    rng: np.random.Generator,
    shape: tuple[int, int],
    scale: float,
    width: float,
    height: float,
) -> np.ndarray:
    """Courses of stones, each of its own tone, with joints between them."""
    height = max(height, 3.2 / scale)
    width = max(width, 5.0 / scale)
    y = np.arange(shape[0], dtype=np.float32) / (scale * height)
    course = y.astype(np.int32)
    shift = rng.uniform(0, 1, 64)[course % 64].astype(np.float32)
    x = np.arange(shape[1], dtype=np.float32)[None] / (scale * width)
    x = x + shift[:, None]
    stone = x.astype(np.int32)
    table = rng.normal(1.0, 0.06, (64, 64)).astype(np.float32)
    tones = table[(course % 64)[:, None], stone % 64]
    joint = 1.1 / scale
    gap = (x - stone < joint / width) | ((y - course < joint / height)[:, None])
    return np.where(gap, np.float32(0.8), tones)


def _dirt(
    rng: np.random.Generator,
    shape: tuple[int, int],
    scale: float,
    weathering: float,
) -> np.ndarray:
    """Streaks that run down, patches, and splashes near the ground."""
    streaks = noise_field(rng, shape, (30 / scale, 2.5 / scale), 1.0)
    patches = noise_field(rng, shape, 8 / scale, 1.3)
    height = np.arange(shape[0], 0, -1, dtype=np.float32)[:, None] / scale
    splash = 0.35 * np.exp(-height / 1.2)
    amount = 0.09 * np.clip(streaks, -0.5, 2) + 0.07 * np.clip(patches, -1, 2)
    return 1 - weathering * (amount + splash)


def _openness(relief: np.ndarray, scale: float) -> np.ndarray:
    """Darkens what lies below its surroundings, as corners and recesses do."""
    heights = relief.astype(np.float32)
    hidden = np.zeros_like(heights)
    for radius in (0.35, 1.2):
        around = cv2.blur(heights, (2 * int(radius * scale) + 1,) * 2)
        hidden += np.clip(around - heights, 0, None)
    share = 1 / (1 + 1.6 * hidden / RELIEF_PER_METRE)
    return np.clip(255 * share, 0, 255).astype(np.uint8)


def relief_metres(surface: Surface) -> np.ndarray:
    """How far each pixel stands out of the wall in metres, float32."""
    return (surface.relief.astype(np.float32) - RELIEF_ZERO) * np.float32(
        1 / RELIEF_PER_METRE
    )

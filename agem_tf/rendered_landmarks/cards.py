"""Flat pictures that are put up in the scene facing the camera."""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from agem_tf.rendered_landmarks.canvas import ellipse_points
from agem_tf.rendered_landmarks.shading import LINEAR


@dataclass(frozen=True, eq=False)
class Sprite:
    """A card with a picture on it.

    Attributes:
      texture: (rows, columns, 4) float32, linear albedo times coverage, and
        coverage.
      width, height: in metres.
      glow: (rows, columns) float32 where a lamp shines, or None.
    """

    texture: np.ndarray
    width: float
    height: float
    glow: np.ndarray | None = None

    @cached_property
    def half(self) -> "Sprite":
        """The same card at half the resolution."""
        rows, columns = self.texture.shape[:2]
        size = (max(columns // 2, 1), max(rows // 2, 1))
        texture, glow = (
            image
            if image is None
            else cv2.resize(image, size, interpolation=cv2.INTER_AREA)
            for image in (self.texture, self.glow)
        )
        return Sprite(texture, self.width, self.height, glow)

    def with_rows(self, rows: float) -> "Sprite":
        """The smallest copy that still has the rows asked for."""
        sprite = self
        while sprite.texture.shape[0] > max(1.6 * rows, 16):
            sprite = sprite.half
        return sprite


class Board:
    """A drawing board in metres for sprites, twice as fine as its result."""

    def __init__(self, width: float, height: float, rows: int):
        self.width, self.height = width, height
        self.scale = 2 * rows / height
        size = (2 * rows, max(2, round(width * self.scale)))
        self.color = np.zeros((*size, 3), np.uint8)
        self.mask = np.zeros(size, np.uint8)

    def polygon(self, points, color) -> None:
        pixels = np.asarray(points, float) * (self.scale, -self.scale)
        pixels[:, 1] += self.color.shape[0]
        corners = np.round(pixels * 16).astype(np.int32)
        tone = tuple(float(channel) for channel in color)
        cv2.fillPoly(self.color, [corners], tone, shift=4)
        cv2.fillPoly(self.mask, [corners], 255, shift=4)

    def rectangle(self, x, y, width, height, color) -> None:
        self.polygon(
            [(x, y), (x + width, y), (x + width, y + height), (x, y + height)],
            color,
        )

    def ellipse(self, x, y, radius_x, radius_y, color) -> None:
        self.polygon(ellipse_points(x, y, radius_x, radius_y), color)

    def sprite(self, tone: np.ndarray | float = 1.0) -> Sprite:
        """Finishes the card, its colours multiplied by `tone`."""
        mask = self.mask.astype(np.float32) * np.float32(1 / 255)
        color = cv2.LUT(self.color, LINEAR)
        color *= (mask * tone)[..., None]
        texture = np.dstack([color, mask]).astype(np.float32)
        rows, columns = self.mask.shape
        size = (max(columns // 2, 1), rows // 2)
        texture = cv2.resize(texture, size, interpolation=cv2.INTER_AREA)
        return Sprite(texture, self.width, self.height)

"""Sprites: trees, people, vehicles and posts that occlude the landmark.

Each variant is drawn once, already shaded by light from above, and placed in
the scene as a flat card that faces the camera.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import cv2
import numpy as np

from agem_tf.rendered_landmarks.noise import noise_field
from agem_tf.rendered_landmarks.shading import LINEAR
from agem_tf.rendered_landmarks.wall_surface import ellipse_points


@dataclass(frozen=True, eq=False)
class Sprite:
    """Flat card with a picture on it.

    Attributes:
        texture: (rows, columns, 4) float32: linear albedo times coverage, and
            coverage.
        width, height: size in metres.
        glow: (rows, columns) float32, positive where a lamp shines; or None.
    """

    texture: np.ndarray
    width: float
    height: float
    glow: np.ndarray | None = None

    @cached_property
    def half(self) -> "Sprite":
        """This card at half the resolution."""
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
        """Smallest copy that has at least about the given number of rows."""
        sprite = self
        while sprite.texture.shape[0] > max(1.6 * rows, 16):
            sprite = sprite.half
        return sprite


class Board:
    """Drawing of a sprite in metres, at twice the resolution of the result."""

    def __init__(self, width: float, height: float, rows: int):
        self.width, self.height = width, height
        self.scale = 2 * rows / height
        size = (2 * rows, max(2, round(width * self.scale)))
        self.color = np.zeros((*size, 3), np.uint8)
        self.mask = np.zeros(size, np.uint8)

    def polygon(
        self,
        points: np.ndarray | Sequence[Sequence[float]],
        color: Sequence[float],
    ) -> None:
        """Fills a polygon with corners (N, 2) in metres, y up."""
        pixels = np.asarray(points, float) * (self.scale, -self.scale)
        pixels[:, 1] += self.color.shape[0]
        corners = np.round(pixels * 16).astype(np.int32)
        tone = tuple(float(channel) for channel in color)
        cv2.fillPoly(self.color, [corners], tone, shift=4)
        cv2.fillPoly(self.mask, [corners], 255, shift=4)

    def rectangle(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        color: Sequence[float],
    ) -> None:
        """Fills a rectangle whose lower left corner is (x, y)."""
        self.polygon(
            [(x, y), (x + width, y), (x + width, y + height), (x, y + height)],
            color,
        )

    def ellipse(
        self,
        x: float,
        y: float,
        radius_x: float,
        radius_y: float,
        color: Sequence[float],
    ) -> None:
        """Fills an ellipse centred at (x, y)."""
        self.polygon(ellipse_points(x, y, radius_x, radius_y), color)

    def sprite(self, tone: np.ndarray | float = 1.0) -> Sprite:
        """Returns the finished card, its colours multiplied by `tone`."""
        mask = self.mask.astype(np.float32) * np.float32(1 / 255)
        color = cv2.LUT(self.color, LINEAR)
        color *= (mask * tone)[..., None]
        texture = np.dstack([color, mask]).astype(np.float32)
        rows, columns = self.mask.shape
        size = (max(columns // 2, 1), rows // 2)
        texture = cv2.resize(texture, size, interpolation=cv2.INTER_AREA)
        return Sprite(texture, self.width, self.height)


def _draw_tree(rng: np.random.Generator) -> Sprite:
    """Draws a tree."""
    height = rng.uniform(6, 12)
    width = height * rng.uniform(0.55, 0.85)
    board = Board(width, height, 256)
    trunk = 0.035 * height
    bark = (66, 58, 50)
    middle = width / 2
    board.polygon(
        [
            (middle - trunk, 0),
            (middle + trunk, 0),
            (middle + 0.5 * trunk, 0.7 * height),
            (middle - 0.5 * trunk, 0.7 * height),
        ],
        bark,
    )
    for lean in rng.uniform(-0.25, 0.25, 5) * width:
        fork = rng.uniform(0.25, 0.5) * height
        tip = (middle + lean, fork + 0.3 * height)
        board.polygon(
            [(middle, fork), (middle + 0.5 * trunk, fork + trunk), tip], bark
        )
    count = int(rng.integers(26, 40))
    angle = rng.uniform(0, 2 * np.pi, count)
    reach = np.sqrt(rng.uniform(0, 1, count))
    clumps = np.column_stack(
        [
            middle + reach * np.cos(angle) * 0.38 * width,
            0.64 * height + reach * np.sin(angle) * 0.26 * height,
            rng.uniform(0.05, 0.13, count) * height,
        ]
    )
    green = (
        int(rng.integers(66, 104)),
        int(rng.integers(84, 108)),
        int(rng.integers(40, 62)),
    )
    if rng.random() < 0.15:
        green = (168, 110, 48)
    return board.sprite(_grow_leaves(rng, board, clumps, green))


def _draw_foliage(rng: np.random.Generator) -> Sprite:
    """Draws a branch that hangs into the picture close to the camera."""
    board = Board(2.4, 1.6, 200)
    for _ in range(5):
        board.polygon(
            [(0, 1.6), (0.1, 1.6), rng.uniform((0.4, 0.3), (1.9, 1.4))],
            (58, 46, 36),
        )
    clumps = np.column_stack(
        [
            rng.uniform(0, 1.9, 40),
            rng.uniform(0.75, 1.6, 40),
            rng.uniform(0.08, 0.2, 40),
        ]
    )
    tone = _grow_leaves(rng, board, clumps, (70, 96, 40))
    return board.sprite(0.8 * tone)


def _grow_leaves(
    rng: np.random.Generator,
    board: Board,
    clumps: np.ndarray,
    green: tuple[int, int, int],
) -> np.ndarray:
    """Adds leaves around clumps (N, 3) of x, y, radius; returns their tone."""
    rows, columns = board.mask.shape
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    x, y = x / board.scale, (rows - y) / board.scale
    density = np.full((rows, columns), -9, np.float32)
    tone = np.ones((rows, columns), np.float32)
    for middle_x, middle_y, radius in clumps:
        distance = np.hypot(x - middle_x, y - middle_y) / radius
        inside = 1 - distance
        upper = 0.85 + 0.3 * (y - middle_y) / radius + 0.1 * (middle_x - x)
        tone = np.where(inside > density, upper, tone)
        density = np.maximum(density, inside)
    grain = noise_field(rng, (rows, columns), 40 / board.scale, 0.4)
    holes = noise_field(rng, (rows, columns), 16 / board.scale, 0.9)
    leafy = density + 0.22 * grain + 0.25 * holes > 0.18
    board.color[leafy] = green
    board.mask[leafy] = 255
    tone *= 0.65 + 0.5 * (y - y[leafy].min()) / np.ptp(y[leafy])
    tone = np.clip(tone, 0.25, 1.4) * (1 + 0.45 * grain + 0.2 * holes)
    return np.where(leafy, np.clip(tone, 0.12, 2.2), 1.0)


def _draw_person(rng: np.random.Generator) -> Sprite:
    """Draws a person."""
    height = rng.uniform(1.55, 1.9)
    board = Board(0.8, height, 110)
    skin = tuple(
        int(c) for c in rng.uniform(0.45, 1) * np.array((214, 168, 138))
    )
    top = tuple(int(c) for c in rng.uniform(30, 215, 3))
    legs = tuple(
        int(c) for c in rng.uniform(25, 90) * np.array((0.9, 0.95, 1.1))
    )
    hair = tuple(int(c) for c in rng.uniform(0.2, 1) * np.array((96, 72, 50)))
    stride = rng.uniform(0.03, 0.2)
    for side in (-1, 1):
        foot = 0.4 + side * stride
        hip = 0.4 + side * 0.08
        board.polygon(
            [
                (foot - 0.07, 0),
                (foot + 0.1, 0),
                (hip + 0.1, 0.5 * height),
                (hip - 0.1, 0.5 * height),
            ],
            legs,
        )
    low = (0.46 if rng.random() < 0.7 else 0.25) * height
    board.polygon(
        [
            (0.22, low),
            (0.58, low),
            (0.62, 0.8 * height),
            (0.5, 0.85 * height),
            (0.3, 0.85 * height),
            (0.18, 0.8 * height),
        ],
        top,
    )
    for side in (-1, 1):
        swing = rng.uniform(-0.06, 0.1)
        board.polygon(
            [
                (0.4 + side * 0.16, 0.81 * height),
                (0.4 + side * 0.25, 0.8 * height),
                (0.4 + side * (0.27 + swing), 0.48 * height),
                (0.4 + side * (0.2 + swing), 0.48 * height),
            ],
            tuple(0.85 * channel for channel in top),
        )
    board.ellipse(0.4, 0.92 * height, 0.1, 0.075 * height, hair)
    board.ellipse(
        0.4 + rng.uniform(-0.03, 0.03),
        0.905 * height,
        0.08,
        0.06 * height,
        skin,
    )
    return board.sprite(_roundness(board.mask, 12))


def _roundness(mask: np.ndarray, radius: int) -> np.ndarray:
    """Returns a tone that darkens towards the edges, as on a round body."""
    blurred = cv2.blur(mask, (2 * radius + 1, 2 * radius + 1))
    return 0.35 + 0.75 * blurred.astype(np.float32) / 255


def _draw_vehicle(rng: np.random.Generator) -> Sprite:
    """Draws a car or a van, facing either way."""
    van = rng.random() < 0.35
    length = rng.uniform(4.8, 6.2) if van else rng.uniform(3.9, 4.7)
    height = rng.uniform(2.1, 2.7) if van else rng.uniform(1.4, 1.6)
    board = Board(length, height, 120)
    paints = (
        (196, 196, 198),
        (40, 42, 46),
        (142, 30, 30),
        (44, 66, 110),
        (214, 212, 206),
        (98, 102, 106),
        (180, 150, 60),
    )
    paint = paints[int(rng.integers(len(paints)))]
    profile = (
        [(0, 0.12), (1, 0.12), (1, 0.5), (0.93, 0.6), (0.84, 1), (0.03, 1)]
        if van
        else [
            (0, 0.15),
            (1, 0.15),
            (1, 0.45),
            (0.95, 0.58),
            (0.76, 0.64),
            (0.64, 0.98),
            (0.3, 0.98),
            (0.15, 0.64),
            (0.01, 0.58),
        ]
    )
    size = np.array([length, height])
    board.polygon(np.array(profile) * size, paint)
    _vehicle_windows(board, van, size)
    board.rectangle(0, 0.12 * height, length, 0.08 * height, (30, 30, 32))
    for x in (0.2, 0.8):
        radius = min(0.34, 0.24 * height)
        board.ellipse(x * length, radius, 1.2 * radius, 1.2 * radius, (20,) * 3)
        board.ellipse(x * length, radius, radius, radius, (28, 28, 30))
        board.ellipse(
            x * length, radius, 0.55 * radius, 0.55 * radius, (150, 150, 152)
        )
    board.rectangle(
        0.97 * length,
        0.42 * height,
        0.03 * length,
        0.1 * height,
        (236, 232, 214),
    )
    rows = np.linspace(1.25, 0.6, board.mask.shape[0], dtype=np.float32)
    sprite = board.sprite(rows[:, None])
    if rng.random() < 0.5:
        return sprite
    mirrored = np.ascontiguousarray(sprite.texture[:, ::-1])
    return Sprite(mirrored, sprite.width, sprite.height)


def _vehicle_windows(board: Board, van: bool, size: np.ndarray) -> None:
    panes = (
        ([(0.7, 0.58), (0.89, 0.58), (0.83, 0.9), (0.7, 0.9)],)
        if van
        else (
            [(0.2, 0.64), (0.43, 0.64), (0.43, 0.92), (0.31, 0.92)],
            [(0.46, 0.64), (0.72, 0.64), (0.62, 0.92), (0.46, 0.92)],
        )
    )
    for pane in panes:
        board.polygon(np.array(pane) * size, (44, 54, 62))
        glint = np.array(pane) * size
        glint[:2] = glint[2:][::-1] * 0.4 + glint[:2] * 0.6
        board.polygon(glint, (92, 108, 122))


def _draw_post(rng: np.random.Generator) -> Sprite:
    """Draws a street lamp, or a pole with a round sign."""
    lamp = rng.random() < 0.7
    height = rng.uniform(4.2, 6.5) if lamp else rng.uniform(2.5, 3.1)
    board = Board(1.2, height, 220)
    iron = (46, 50, 50)
    board.rectangle(0.55, 0, 0.1, height * 0.93, iron)
    board.rectangle(0.5, 0, 0.2, 0.14 * height, iron)
    if not lamp:
        ring = tuple(int(c) for c in rng.choice([(176, 30, 34), (30, 70, 150)]))
        board.ellipse(0.6, height - 0.36, 0.34, 0.34, ring)
        board.ellipse(0.6, height - 0.36, 0.24, 0.24, (222, 222, 220))
        return board.sprite()
    board.polygon(
        [
            (0.45, 0.9 * height),
            (0.75, 0.9 * height),
            (0.85, 0.98 * height),
            (0.35, 0.98 * height),
        ],
        (226, 220, 196),
    )
    board.rectangle(0.32, 0.975 * height, 0.56, 0.025 * height, iron)
    sprite = board.sprite()
    glow = np.zeros(sprite.texture.shape[:2], np.float32)
    rows, columns = glow.shape
    glow[
        int(0.03 * rows) : int(0.1 * rows),
        int(0.38 * columns) : int(0.62 * columns),
    ] = 1.0
    return Sprite(sprite.texture, sprite.width, sprite.height, glow)


_SPRITE_STREAM = 1 << 21
VARIANTS = {"tree": 10, "person": 12, "vehicle": 8, "post": 4, "foliage": 4}


@cache
def make_sprite(kind: str, number: int) -> Sprite:
    """Returns a variant of a kind, a key of `VARIANTS`."""
    kinds = list(VARIANTS)
    rng = np.random.default_rng([_SPRITE_STREAM, kinds.index(kind), number])
    return _PAINTERS[kind](rng)


_PAINTERS = {
    "tree": _draw_tree,
    "person": _draw_person,
    "vehicle": _draw_vehicle,
    "post": _draw_post,
    "foliage": _draw_foliage,
}

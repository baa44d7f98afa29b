"""Draws trees, and branches that hang into a picture."""

import numpy as np

from agem_tf.rendered_landmarks.cards import Board, Sprite
from agem_tf.rendered_landmarks.noise import noise_field


def tree(rng: np.random.Generator) -> Sprite:
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


def foliage(rng: np.random.Generator) -> Sprite:
    """A branch that hangs into the picture close to the camera."""
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
    rng: np.random.Generator, board: Board, clumps: np.ndarray, green
) -> np.ndarray:
    """Grows foliage round clumps (N, 3) of x, y, radius; returns its tone."""
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

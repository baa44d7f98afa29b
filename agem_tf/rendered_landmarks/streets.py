"""Draws people, vehicles and what else stands in a street."""

import cv2
import numpy as np

from agem_tf.rendered_landmarks.cards import Board, Sprite


def person(rng: np.random.Generator) -> Sprite:
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
    """Darkens towards the edges, as the form of a body does."""
    blurred = cv2.blur(mask, (2 * radius + 1, 2 * radius + 1))
    return 0.35 + 0.75 * blurred.astype(np.float32) / 255


def vehicle(rng: np.random.Generator) -> Sprite:
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


def post(rng: np.random.Generator) -> Sprite:
    """A street lamp, or a pole with a round sign."""
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

"""Doors, shop fronts and balconies: where people go in and out."""

import numpy as np

from agem_tf.rendered_landmarks.canvas import GLASS, Canvas, Color, shade
from agem_tf.rendered_landmarks.openings import PANE, interior_color, outline


def balcony(
    canvas: Canvas, x: float, y: float, width: float, solid: Color | None
) -> None:
    """Draws a balcony: a slab with a solid or an iron balustrade."""
    canvas.rectangle(x, y - 0.2, width, 0.22, (176, 168, 156), 0.95)
    if solid is not None:
        canvas.rectangle(x, y, width, 0.95, solid, 0.95)
        return
    iron = (38, 38, 40)
    for left in np.arange(x, x + width, 0.22):
        canvas.rectangle(left, y, 0.06, 0.95, iron, 0.9)
    canvas.rectangle(x, y + 0.9, width, 0.09, iron, 0.92)
    canvas.rectangle(x, y + 0.08, width, 0.06, iron, 0.92)


def door(
    canvas: Canvas,
    rng: np.random.Generator,
    shape: str,
    x: float,
    width: float,
    height: float,
    color: Color,
    trim: Color,
) -> None:
    """Draws a panelled double door with a stepped surround, on the ground."""
    for step in range(3, 0, -1):
        edge = 0.13 * step * width / 2
        canvas.polygon(
            outline(shape, x - edge, 0, width + 2 * edge, height + edge),
            shade(trim, 1.0 - 0.06 * (3 - step)),
            0.12 * step - 0.1,
        )
    canvas.polygon(outline(shape, x, 0, width, height), shade(color, 0.7), -0.4)
    leaf = width / 2
    for side in range(2):
        left = x + side * leaf
        for row in range(3):
            low = 0.15 + row * height * 0.24
            canvas.rectangle(
                left + 0.12 * leaf,
                low,
                0.76 * leaf,
                height * 0.19,
                color,
                -0.34,
            )
    if rng.random() < 0.6:
        fan = outline(shape, x + 0.1, height * 0.76, width - 0.2, height * 0.21)
        canvas.polygon(fan, interior_color(rng), PANE, GLASS, 250)


def shop_front(
    canvas: Canvas,
    rng: np.random.Generator,
    x: float,
    width: float,
    height: float,
    color: Color,
) -> None:
    """Draws a shop window with a fascia and perhaps an awning."""
    canvas.rectangle(x, 0, width, height, color, 0.1)
    canvas.rectangle(
        x + 0.15,
        0.5,
        width - 0.3,
        height * 0.66,
        (46, 46, 44),
        -0.3,
        GLASS,
        int(rng.integers(150, 256)),
    )
    canvas.rectangle(
        x + width * 0.62,
        0.05,
        width * 0.28,
        height * 0.74,
        (52, 50, 46),
        -0.5,
        GLASS,
        252,
    )
    canvas.rectangle(
        x, height * 0.84, width, height * 0.16, shade(color, 0.8), 0.2
    )
    word = "".join(chr(code) for code in rng.integers(65, 91, 5))
    canvas.text(
        word, x + 0.2 * width, height * 0.87, height * 0.09, (226, 214, 180)
    )
    if rng.random() < 0.5:
        _awning(canvas, x, height * 0.64, width, height * 0.22, color)


def _awning(
    canvas: Canvas,
    x: float,
    y: float,
    width: float,
    height: float,
    color: Color,
) -> None:
    stripes = 8
    for stripe in range(stripes):
        left = x + width * stripe / stripes
        tone = color if stripe % 2 else (232, 228, 216)
        canvas.rectangle(left, y, width / stripes, height, tone, 1.2)

"""Facade ornaments: columns, cornices, clocks, signs, statues and more."""

import numpy as np

from agem_tf.rendered_landmarks.wall_surface import (
    GLASS,
    WALL,
    Color,
    WallDrawing,
    ellipse_points,
    shade,
)


def column(
    drawing: WallDrawing,
    x: float,
    y: float,
    width: float,
    height: float,
    color: Color,
) -> None:
    """Draws a round column with base and capital, centred at x."""
    foot = 0.05 * height
    drawing.rectangle(x - 0.7 * width, y, 1.4 * width, foot, color, 1.0)
    drawing.rounded_column(
        x - width / 2, y + foot, width, height - 2 * foot, color, 1.0
    )
    drawing.rectangle(
        x - 0.75 * width, y + height - foot, 1.5 * width, foot, color, 1.05
    )


def pilaster(
    drawing: WallDrawing,
    x: float,
    y: float,
    width: float,
    height: float,
    color: Color,
) -> None:
    """Draws a pilaster, a flat column, centred at x."""
    drawing.rectangle(x - width / 2, y, width, height, color, 0.22)
    drawing.rectangle(
        x - 0.7 * width,
        y + 0.95 * height,
        1.4 * width,
        0.05 * height,
        color,
        0.32,
    )
    drawing.rectangle(
        x - 0.65 * width, y, 1.3 * width, 0.05 * height, color, 0.3
    )


def cornice(
    drawing: WallDrawing,
    x: float,
    y: float,
    width: float,
    height: float,
    color: Color,
) -> None:
    """Draws a stepped cornice with dentils whose upper edge is y + height."""
    drawing.rectangle(x, y, width, 0.4 * height, shade(color, 0.96), 0.2)
    tooth = 0.45 * height
    for left in np.arange(x, x + width - tooth, 1.8 * tooth):
        drawing.rectangle(
            left, y + 0.35 * height, tooth, 0.3 * height, color, 0.45
        )
    drawing.rectangle(
        x - 0.2, y + 0.62 * height, width + 0.4, 0.38 * height, color, 0.75
    )


def balustrade(
    drawing: WallDrawing,
    x: float,
    y: float,
    width: float,
    height: float,
    color: Color,
) -> None:
    """Draws a row of balusters between posts."""
    gap = max(0.3, height * 0.32)
    drawing.rectangle(x, y, width, 0.15 * height, color, 0.3)
    for left in np.arange(x + 0.1, x + width - 0.1, gap):
        drawing.rounded_column(left, y, 0.55 * gap, height, color, 0.25)
    for left in np.linspace(x, x + width - 0.5, 6):
        drawing.rectangle(left, y, 0.5, height * 1.1, color, 0.35)
    drawing.rectangle(x, y + 0.82 * height, width, 0.18 * height, color, 0.4)


def quoins(
    drawing: WallDrawing, x: float, width: float, height: float, color: Color
) -> None:
    """Draws alternately long and short corner stones, centred at x."""
    course = 0.55
    for number, low in enumerate(np.arange(0, height - course, course)):
        stone = width * (1.0 if number % 2 else 0.65)
        drawing.rectangle(x - stone / 2, low, stone, course * 0.9, color, 0.12)


def clock(drawing: WallDrawing, x: float, y: float, radius: float) -> None:
    """Draws a clock face with hands, centred at (x, y)."""
    dark, face = (36, 34, 36), (226, 220, 200)
    if drawing.rng.random() < 0.3:
        dark, face = (206, 172, 86), (38, 44, 66)
    drawing.polygon(ellipse_points(x, y, radius * 1.2, radius * 1.2), dark, 0.3)
    drawing.polygon(ellipse_points(x, y, radius, radius), face, 0.26)
    for hour in np.radians(np.arange(0, 360, 30)):
        _hand(drawing, x, y, hour, 0.78 * radius, 0.95 * radius, radius, dark)
    for length in (0.5, 0.75):
        angle = drawing.rng.uniform(0, 2 * np.pi)
        _hand(
            drawing, x, y, angle, -0.1 * radius, length * radius, radius, dark
        )


def _hand(drawing, x, y, angle, start, end, radius, color) -> None:
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]]) * 0.05 * radius
    middle = np.array([x, y])
    near, far = middle + along * start, middle + along * end
    corners = [near - across, near + across, far + across, far - across]
    drawing.polygon(np.array(corners), color, 0.3)


def rose_window(
    drawing: WallDrawing, x: float, y: float, radius: float, color: Color
) -> None:
    """Draws a round tracery window, centred at (x, y)."""
    drawing.polygon(
        ellipse_points(x, y, radius * 1.18, radius * 1.18), color, 0.2
    )
    drawing.polygon(
        ellipse_points(x, y, radius, radius), shade(color, 0.8), -0.2
    )
    petals = int(drawing.rng.integers(6, 13))
    number = int(drawing.rng.integers(120, 256))
    for angle in np.linspace(0, 2 * np.pi, petals, endpoint=False):
        stained = tuple(int(tone) for tone in drawing.rng.integers(24, 100, 3))
        size = 0.8 * radius * np.pi / petals
        middle = (
            x + 0.68 * radius * np.cos(angle),
            y + 0.68 * radius * np.sin(angle),
        )
        drawing.polygon(
            ellipse_points(*middle, size, size), stained, -0.35, GLASS, number
        )
    drawing.polygon(
        ellipse_points(x, y, 0.28 * radius, 0.28 * radius),
        (64, 44, 60),
        -0.35,
        GLASS,
        number,
    )


def statue(
    drawing: WallDrawing,
    x: float,
    y: float,
    height: float,
    color: Color,
    niche: bool,
) -> None:
    """Draws a standing figure, optionally in a niche, centred at x."""
    wide = 0.42 * height
    if niche:
        low, tall = y - 0.1 * height, 0.85 * height
        drawing.rectangle(
            x - wide / 2, low, wide, tall, shade(color, 0.6), -0.4
        )
        drawing.polygon(
            ellipse_points(x, low + tall, wide / 2, wide / 2, 0, 180),
            shade(color, 0.6),
            -0.4,
        )
    drawing.rectangle(
        x - 0.5 * wide, y - 0.12 * height, wide, 0.12 * height, color, 0.2
    )
    drawing.rounded_column(
        x - 0.28 * wide, y, 0.56 * wide, 0.62 * height, shade(color, 0.95), 0.3
    )
    drawing.rounded_column(
        x - 0.4 * wide, y + 0.42 * height, 0.8 * wide, 0.3 * height, color, 0.34
    )
    drawing.polygon(
        ellipse_points(x, y + 0.83 * height, 0.17 * wide, 0.11 * height),
        color,
        0.35,
    )


def signboard(
    drawing: WallDrawing,
    x: float,
    y: float,
    width: float,
    height: float,
    color: Color,
) -> None:
    """Draws a sign with a word of random letters."""
    letters = int(drawing.rng.integers(4, 9))
    word = "".join(chr(code) for code in drawing.rng.integers(65, 91, letters))
    bright = sum(color) > 380
    drawing.rectangle(x, y, width, height, color, 0.15)
    size = min(0.62 * height, 0.9 * width / (letters * 0.95))
    drawing.text(
        word,
        x + 0.06 * width,
        y + (height - size) / 2,
        size,
        (40, 36, 34) if bright else (232, 224, 200),
    )


def flag(drawing: WallDrawing, x: float, y: float, height: float) -> None:
    """Draws a flag on a pole whose foot is (x, y)."""
    stripes = drawing.rng.integers(30, 226, (3, 3))
    drawing.rectangle(x, y, 0.09, height, (70, 66, 60), 0.9)
    wide = 0.5 * height
    for number, tone in enumerate(stripes):
        color = tuple(int(channel) for channel in tone)
        left = x + 0.09 + number * wide / 3
        drawing.rectangle(left, y - 0.1 * height, wide / 3, height, color, 0.9)


def buttress(
    drawing: WallDrawing, x: float, width: float, height: float, color: Color
) -> None:
    """Draws a stepped pier, centred at x."""
    for step, share in enumerate((1.0, 0.66, 0.36)):
        wide = width * (0.7 + 0.15 * (2 - step))
        drawing.rectangle(
            x - wide / 2,
            0,
            wide,
            height * (0.4 + 0.3 * step) * 0.98,
            color,
            0.3 * share,
            WALL,
        )


def fire_escape(
    drawing: WallDrawing, x: float, floors: np.ndarray, width: float
) -> None:
    """Draws iron landings at the heights `floors`, joined by ladders."""
    iron = (42, 40, 40)
    for low, high in zip(floors[:-1], floors[1:], strict=True):
        drawing.rectangle(x, low, width, 0.12, iron, 1.0)
        drawing.rectangle(x, low + 0.95, width, 0.07, iron, 1.0)
        for left in np.arange(x, x + width, 0.4):
            drawing.rectangle(left, low, 0.05, 0.95, iron, 1.0)
        for shift in (0.0, 0.45):
            ladder = [
                (x + 0.2 * width + shift, low),
                (x + 0.2 * width + 0.1 + shift, low),
                (x + 0.75 * width + 0.1 + shift, high),
                (x + 0.75 * width + shift, high),
            ]
            drawing.polygon(np.array(ladder), iron, 0.9)

"""What a facade carries besides windows: columns, clocks, signs, statues."""

import numpy as np

from agem_tf.rendered_landmarks.canvas import (
    GLASS,
    WALL,
    Canvas,
    Color,
    ellipse_points,
    shade,
)


def column(
    canvas: Canvas,
    x: float,
    y: float,
    width: float,
    height: float,
    color: Color,
) -> None:
    """Draws a round column with base and capital, centred on x."""
    foot = 0.05 * height
    canvas.rectangle(x - 0.7 * width, y, 1.4 * width, foot, color, 1.0)
    canvas.rounded_column(
        x - width / 2, y + foot, width, height - 2 * foot, color, 1.0
    )
    canvas.rectangle(
        x - 0.75 * width, y + height - foot, 1.5 * width, foot, color, 1.05
    )


def pilaster(
    canvas: Canvas,
    x: float,
    y: float,
    width: float,
    height: float,
    color: Color,
) -> None:
    """Draws a flat column, centred on x."""
    canvas.rectangle(x - width / 2, y, width, height, color, 0.22)
    canvas.rectangle(
        x - 0.7 * width,
        y + 0.95 * height,
        1.4 * width,
        0.05 * height,
        color,
        0.32,
    )
    canvas.rectangle(
        x - 0.65 * width, y, 1.3 * width, 0.05 * height, color, 0.3
    )


def cornice(
    canvas: Canvas,
    x: float,
    y: float,
    width: float,
    height: float,
    color: Color,
) -> None:
    """Draws a stepped cornice with dentils whose upper edge is y + height."""
    canvas.rectangle(x, y, width, 0.4 * height, shade(color, 0.96), 0.2)
    tooth = 0.45 * height
    for left in np.arange(x, x + width - tooth, 1.8 * tooth):
        canvas.rectangle(
            left, y + 0.35 * height, tooth, 0.3 * height, color, 0.45
        )
    canvas.rectangle(
        x - 0.2, y + 0.62 * height, width + 0.4, 0.38 * height, color, 0.75
    )


def balustrade(
    canvas: Canvas,
    x: float,
    y: float,
    width: float,
    height: float,
    color: Color,
) -> None:
    """Draws a row of balusters between posts."""
    gap = max(0.3, height * 0.32)
    canvas.rectangle(x, y, width, 0.15 * height, color, 0.3)
    for left in np.arange(x + 0.1, x + width - 0.1, gap):
        canvas.rounded_column(left, y, 0.55 * gap, height, color, 0.25)
    for left in np.linspace(x, x + width - 0.5, 6):
        canvas.rectangle(left, y, 0.5, height * 1.1, color, 0.35)
    canvas.rectangle(x, y + 0.82 * height, width, 0.18 * height, color, 0.4)


def quoins(
    canvas: Canvas, x: float, width: float, height: float, color: Color
) -> None:
    """Draws alternately long and short corner stones, centred on x."""
    course = 0.55
    for number, low in enumerate(np.arange(0, height - course, course)):
        stone = width * (1.0 if number % 2 else 0.65)
        canvas.rectangle(x - stone / 2, low, stone, course * 0.9, color, 0.12)


def clock(
    canvas: Canvas, rng: np.random.Generator, x: float, y: float, radius: float
) -> None:
    """Draws a clock face with hands, centred on (x, y)."""
    dark, face = (36, 34, 36), (226, 220, 200)
    if rng.random() < 0.3:
        dark, face = (206, 172, 86), (38, 44, 66)
    canvas.polygon(ellipse_points(x, y, radius * 1.2, radius * 1.2), dark, 0.3)
    canvas.polygon(ellipse_points(x, y, radius, radius), face, 0.26)
    for hour in np.radians(np.arange(0, 360, 30)):
        _hand(canvas, x, y, hour, 0.78 * radius, 0.95 * radius, radius, dark)
    for length in (0.5, 0.75):
        angle = rng.uniform(0, 2 * np.pi)
        _hand(canvas, x, y, angle, -0.1 * radius, length * radius, radius, dark)


def _hand(canvas, x, y, angle, start, end, radius, color) -> None:
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]]) * 0.05 * radius
    middle = np.array([x, y])
    near, far = middle + along * start, middle + along * end
    corners = [near - across, near + across, far + across, far - across]
    canvas.polygon(np.array(corners), color, 0.3)


def rose_window(
    canvas: Canvas,
    rng: np.random.Generator,
    x: float,
    y: float,
    radius: float,
    color: Color,
) -> None:
    """Draws a round tracery window, centred on (x, y)."""
    canvas.polygon(
        ellipse_points(x, y, radius * 1.18, radius * 1.18), color, 0.2
    )
    canvas.polygon(
        ellipse_points(x, y, radius, radius), shade(color, 0.8), -0.2
    )
    petals = int(rng.integers(6, 13))
    number = int(rng.integers(120, 256))
    for angle in np.linspace(0, 2 * np.pi, petals, endpoint=False):
        stained = tuple(int(tone) for tone in rng.integers(24, 100, 3))
        size = 0.8 * radius * np.pi / petals
        middle = (
            x + 0.68 * radius * np.cos(angle),
            y + 0.68 * radius * np.sin(angle),
        )
        canvas.polygon(
            ellipse_points(*middle, size, size), stained, -0.35, GLASS, number
        )
    canvas.polygon(
        ellipse_points(x, y, 0.28 * radius, 0.28 * radius),
        (64, 44, 60),
        -0.35,
        GLASS,
        number,
    )


def statue(
    canvas: Canvas, x: float, y: float, height: float, color: Color, niche: bool
) -> None:
    """Draws a standing figure, in a niche or free; x is its middle."""
    wide = 0.42 * height
    if niche:
        low, tall = y - 0.1 * height, 0.85 * height
        canvas.rectangle(x - wide / 2, low, wide, tall, shade(color, 0.6), -0.4)
        canvas.polygon(
            ellipse_points(x, low + tall, wide / 2, wide / 2, 0, 180),
            shade(color, 0.6),
            -0.4,
        )
    canvas.rectangle(
        x - 0.5 * wide, y - 0.12 * height, wide, 0.12 * height, color, 0.2
    )
    canvas.rounded_column(
        x - 0.28 * wide, y, 0.56 * wide, 0.62 * height, shade(color, 0.95), 0.3
    )
    canvas.rounded_column(
        x - 0.4 * wide, y + 0.42 * height, 0.8 * wide, 0.3 * height, color, 0.34
    )
    canvas.polygon(
        ellipse_points(x, y + 0.83 * height, 0.17 * wide, 0.11 * height),
        color,
        0.35,
    )


def signboard(
    canvas: Canvas,
    rng: np.random.Generator,
    x: float,
    y: float,
    width: float,
    height: float,
    color: Color,
) -> None:
    """Draws a board with a word of random letters."""
    letters = int(rng.integers(4, 9))
    word = "".join(chr(code) for code in rng.integers(65, 91, letters))
    bright = sum(color) > 380
    canvas.rectangle(x, y, width, height, color, 0.15)
    size = min(0.62 * height, 0.9 * width / (letters * 0.95))
    canvas.text(
        word,
        x + 0.06 * width,
        y + (height - size) / 2,
        size,
        (40, 36, 34) if bright else (232, 224, 200),
    )


def flag(
    canvas: Canvas, rng: np.random.Generator, x: float, y: float, height: float
) -> None:
    """Draws a flag hanging from a pole at (x, y)."""
    stripes = rng.integers(30, 226, (3, 3))
    canvas.rectangle(x, y, 0.09, height, (70, 66, 60), 0.9)
    wide = 0.5 * height
    for number, tone in enumerate(stripes):
        color = tuple(int(channel) for channel in tone)
        left = x + 0.09 + number * wide / 3
        canvas.rectangle(left, y - 0.1 * height, wide / 3, height, color, 0.9)


def buttress(
    canvas: Canvas, x: float, width: float, height: float, color: Color
) -> None:
    """Draws a pier that steps back as it rises, centred on x."""
    for step, share in enumerate((1.0, 0.66, 0.36)):
        wide = width * (0.7 + 0.15 * (2 - step))
        canvas.rectangle(
            x - wide / 2,
            0,
            wide,
            height * (0.4 + 0.3 * step) * 0.98,
            color,
            0.3 * share,
            WALL,
        )


def fire_escape(
    canvas: Canvas, x: float, floors: np.ndarray, width: float
) -> None:
    """Draws iron landings with slanting ladders at the floors' heights."""
    iron = (42, 40, 40)
    for low, high in zip(floors[:-1], floors[1:], strict=True):
        canvas.rectangle(x, low, width, 0.12, iron, 1.0)
        canvas.rectangle(x, low + 0.95, width, 0.07, iron, 1.0)
        for left in np.arange(x, x + width, 0.4):
            canvas.rectangle(left, low, 0.05, 0.95, iron, 1.0)
        for shift in (0.0, 0.45):
            ladder = [
                (x + 0.2 * width + shift, low),
                (x + 0.2 * width + 0.1 + shift, low),
                (x + 0.75 * width + 0.1 + shift, high),
                (x + 0.75 * width + shift, high),
            ]
            canvas.polygon(np.array(ladder), iron, 0.9)

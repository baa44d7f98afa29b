"""Windows, doors, shop fronts and balconies.

An opening lies behind the plane of the wall and its surround stands in front
of it, so that lighting the relief gives it a bright and a dark side.
"""

import numpy as np

from agem_tf.rendered_landmarks.building_design import WindowDesign
from agem_tf.rendered_landmarks.wall_surface import (
    GLASS,
    Color,
    WallDrawing,
    ellipse_points,
    shade,
)

_REVEAL = -0.3
_SASH = -0.26
_PANE = -0.34


def outline(
    shape: str, x: float, y: float, width: float, height: float
) -> np.ndarray:
    """Returns the outline of an opening.

    Args:
        shape: "rectangle", "ribbon", "curtain" (all three rectangular),
            "segment" (flat arch), "round" (half circle) or "pointed" (gothic).
        x, y: lower left corner in metres.
        width, height: size in metres.

    Returns:
        Corner points (N, 2) in metres.
    """
    bottom = [(x, y), (x + width, y)]
    middle = x + width / 2
    if shape == "segment":
        rise = 0.14 * width
        arc = ellipse_points(middle, y + height - rise, width / 2, rise, 0, 180)
    elif shape == "round":
        rise = min(width / 2, height)
        arc = ellipse_points(middle, y + height - rise, width / 2, rise, 0, 180)
    elif shape == "pointed":
        rise = min(0.9 * width, 0.6 * height)
        angle = np.linspace(0, 1, 14)[:, None]
        side = np.hstack([1 - angle**1.8, angle**0.9 * rise])
        right = (middle, y + height - rise) + side * (width / 2, 1)
        left = (middle, y + height - rise) + side[::-1] * (-width / 2, 1)
        arc = np.vstack([right, left])
    else:
        arc = np.array([(x + width, y + height), (x, y + height)])
    return np.vstack([bottom, arc])


def glazed_opening(
    drawing: WallDrawing,
    window: WindowDesign,
    x: float,
    y: float,
    width: float,
    height: float,
) -> None:
    """Draws an opening with its sash, panes and curtains."""
    frame, shape = window.frame, window.shape
    bar = max(0.05, 0.045 * min(width, height))
    drawing.polygon(
        outline(shape, x, y, width, height), shade(frame, 0.9), _REVEAL
    )
    pane_color = interior_color(drawing.rng)
    number = int(drawing.rng.integers(1, 256))
    inset = outline(shape, x + bar, y + bar, width - 2 * bar, height - 2 * bar)
    drawing.polygon(inset, pane_color, _PANE, GLASS, number)
    _curtains(drawing, x + bar, y + bar, width - 2 * bar, height, number)
    for column in range(1, window.columns):
        left = x + width * column / window.columns - bar / 2
        drawing.rectangle(left, y + bar, bar, height * 0.93, frame, _SASH)
    for row in range(1, window.rows):
        low = y + height * row / window.rows - bar / 2
        drawing.rectangle(x + bar, low, width - 2 * bar, bar, frame, _SASH)


def interior_color(rng: np.random.Generator) -> Color:
    """Dark colour of a room behind a pane in daylight."""
    tone = rng.uniform(18, 58)
    return (int(tone * 0.95), int(tone), int(tone * 1.06))


def _curtains(
    drawing: WallDrawing,
    x: float,
    y: float,
    width: float,
    height: float,
    number: int,
) -> None:
    """Draws curtains or a half-drawn blind behind some panes."""
    kind = drawing.rng.random()
    cloth = shade((196, 188, 172), float(drawing.rng.uniform(0.5, 1.0)))
    if kind < 0.25:
        side = width * drawing.rng.uniform(0.15, 0.3)
        tall = height * 0.8
        drawing.rectangle(x, y, side, tall, cloth, _PANE, GLASS, number)
        drawing.rectangle(
            x + width - side, y, side, tall, cloth, _PANE, GLASS, number
        )
    elif kind < 0.4:
        share = drawing.rng.uniform(0.2, 0.6)
        low = y + height * (0.9 - share)
        drawing.rectangle(
            x, low, width, height * share * 0.8, cloth, _PANE, GLASS, number
        )


def surround(
    drawing: WallDrawing,
    window: WindowDesign,
    x: float,
    y: float,
    width: float,
    height: float,
    color: Color,
) -> None:
    """Draws the surround of an opening, its sill and its hood."""
    edge = 0.11 * width
    drawing.polygon(
        outline(window.shape, x - edge, y, width + 2 * edge, height + edge),
        color,
        0.07,
    )
    drawing.rectangle(
        x - 1.6 * edge, y - 0.18, width + 3.2 * edge, 0.18, color, 0.22
    )
    _hood(
        drawing,
        window.hood,
        x - edge,
        y + height + edge,
        width + 2 * edge,
        color,
    )


def _hood(
    drawing: WallDrawing,
    kind: str,
    x: float,
    y: float,
    width: float,
    color: Color,
) -> None:
    rise = 0.22 * width
    if kind == "flat":
        drawing.rectangle(x - 0.1, y + 0.1, width + 0.2, 0.22, color, 0.3)
    elif kind == "triangle":
        peak = [
            (x - 0.15, y + 0.08),
            (x + width + 0.15, y + 0.08),
            (x + width / 2, y + 0.12 + rise),
        ]
        drawing.polygon(np.array(peak), color, 0.32)
        inner = np.array(peak) * 0.66 + np.mean(peak, axis=0) * 0.34
        drawing.polygon(inner, shade(color, 0.9), 0.1)
    elif kind == "arch":
        middle = x + width / 2
        drawing.polygon(
            ellipse_points(middle, y, width / 2 + 0.12, rise, 0, 180),
            color,
            0.3,
        )
        drawing.polygon(
            ellipse_points(middle, y, width / 2 - 0.1, rise * 0.6, 0, 180),
            shade(color, 0.9),
            0.1,
        )


def shutters(
    drawing: WallDrawing,
    x: float,
    y: float,
    width: float,
    height: float,
    color: Color,
) -> None:
    """Draws open louvred shutters beside an opening."""
    leaf = 0.42 * width
    slat = max(0.14, height / 14)
    for left in (x - leaf - 0.04, x + width + 0.04):
        drawing.rectangle(left, y, leaf, height, color, 0.09)
        for low in np.arange(y + slat, y + height - slat, slat):
            drawing.rectangle(
                left + 0.08,
                low,
                leaf - 0.16,
                slat * 0.4,
                shade(color, 0.62),
                0.05,
            )


def balcony(
    drawing: WallDrawing, x: float, y: float, width: float, solid: Color | None
) -> None:
    """Draws a balcony with a parapet of colour `solid`, or an iron railing."""
    drawing.rectangle(x, y - 0.2, width, 0.22, (176, 168, 156), 0.95)
    if solid is not None:
        drawing.rectangle(x, y, width, 0.95, solid, 0.95)
        return
    iron = (38, 38, 40)
    for left in np.arange(x, x + width, 0.22):
        drawing.rectangle(left, y, 0.06, 0.95, iron, 0.9)
    drawing.rectangle(x, y + 0.9, width, 0.09, iron, 0.92)
    drawing.rectangle(x, y + 0.08, width, 0.06, iron, 0.92)


def door(
    drawing: WallDrawing,
    shape: str,
    x: float,
    width: float,
    height: float,
    color: Color,
    trim: Color,
) -> None:
    """Draws a panelled double door with a stepped surround at ground level."""
    for step in range(3, 0, -1):
        edge = 0.13 * step * width / 2
        drawing.polygon(
            outline(shape, x - edge, 0, width + 2 * edge, height + edge),
            shade(trim, 1.0 - 0.06 * (3 - step)),
            0.12 * step - 0.1,
        )
    drawing.polygon(
        outline(shape, x, 0, width, height), shade(color, 0.7), -0.4
    )
    leaf = width / 2
    for side in range(2):
        left = x + side * leaf
        for row in range(3):
            low = 0.15 + row * height * 0.24
            drawing.rectangle(
                left + 0.12 * leaf,
                low,
                0.76 * leaf,
                height * 0.19,
                color,
                -0.34,
            )
    if drawing.rng.random() < 0.6:
        fan = outline(shape, x + 0.1, height * 0.76, width - 0.2, height * 0.21)
        drawing.polygon(fan, interior_color(drawing.rng), _PANE, GLASS, 250)


def shop_front(
    drawing: WallDrawing, x: float, width: float, height: float, color: Color
) -> None:
    """Draws a shop window with a sign and, half of the time, an awning."""
    drawing.rectangle(x, 0, width, height, color, 0.1)
    drawing.rectangle(
        x + 0.15,
        0.5,
        width - 0.3,
        height * 0.66,
        (46, 46, 44),
        -0.3,
        GLASS,
        int(drawing.rng.integers(150, 256)),
    )
    drawing.rectangle(
        x + width * 0.62,
        0.05,
        width * 0.28,
        height * 0.74,
        (52, 50, 46),
        -0.5,
        GLASS,
        252,
    )
    drawing.rectangle(
        x, height * 0.84, width, height * 0.16, shade(color, 0.8), 0.2
    )
    word = "".join(chr(code) for code in drawing.rng.integers(65, 91, 5))
    drawing.text(
        word, x + 0.2 * width, height * 0.87, height * 0.09, (226, 214, 180)
    )
    if drawing.rng.random() < 0.5:
        _awning(drawing, x, height * 0.64, width, height * 0.22, color)


def _awning(
    drawing: WallDrawing,
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
        drawing.rectangle(left, y, width / stripes, height, tone, 1.2)

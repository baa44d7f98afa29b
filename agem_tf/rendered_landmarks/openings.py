"""Windows: glass, sash, curtain, surround, hood and shutters.

An opening lies behind the wall's surface and its surround before it, so that
the light of a photograph gives it a lit and a shaded side.
"""

import numpy as np

from agem_tf.rendered_landmarks.canvas import (
    GLASS,
    Canvas,
    Color,
    ellipse_points,
    shade,
)
from agem_tf.rendered_landmarks.design import WindowDesign

REVEAL = -0.3
SASH = -0.26
PANE = -0.34


def outline(
    shape: str, x: float, y: float, width: float, height: float
) -> np.ndarray:
    """The edge of an opening.

    Args:
      shape: "rectangle", "ribbon", "curtain" (all three rectangular),
        "segment" (flat arch), "round" (half circle) or "pointed" (gothic).
      x, y: lower left corner in metres.
      width, height: in metres.

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
    canvas: Canvas,
    rng: np.random.Generator,
    window: WindowDesign,
    x: float,
    y: float,
    width: float,
    height: float,
) -> None:
    """Cuts an opening and fills it with a sash and panes."""
    frame, shape = window.frame, window.shape
    bar = max(0.05, 0.045 * min(width, height))
    canvas.polygon(
        outline(shape, x, y, width, height), shade(frame, 0.9), REVEAL
    )
    pane_color = interior_color(rng)
    number = int(rng.integers(1, 256))
    inset = outline(shape, x + bar, y + bar, width - 2 * bar, height - 2 * bar)
    canvas.polygon(inset, pane_color, PANE, GLASS, number)
    _curtains(canvas, rng, x + bar, y + bar, width - 2 * bar, height, number)
    for column in range(1, window.columns):
        left = x + width * column / window.columns - bar / 2
        canvas.rectangle(left, y + bar, bar, height * 0.93, frame, SASH)
    for row in range(1, window.rows):
        low = y + height * row / window.rows - bar / 2
        canvas.rectangle(x + bar, low, width - 2 * bar, bar, frame, SASH)


def interior_color(rng: np.random.Generator) -> Color:
    """The dark of a room seen by day."""
    tone = rng.uniform(18, 58)
    return (int(tone * 0.95), int(tone), int(tone * 1.06))


def _curtains(
    canvas: Canvas,
    rng: np.random.Generator,
    x: float,
    y: float,
    width: float,
    height: float,
    number: int,
) -> None:
    """Hangs a curtain or a half-drawn blind behind some panes."""
    kind = rng.random()
    cloth = shade((196, 188, 172), float(rng.uniform(0.5, 1.0)))
    if kind < 0.25:
        side = width * rng.uniform(0.15, 0.3)
        tall = height * 0.8
        canvas.rectangle(x, y, side, tall, cloth, PANE, GLASS, number)
        canvas.rectangle(
            x + width - side, y, side, tall, cloth, PANE, GLASS, number
        )
    elif kind < 0.4:
        share = rng.uniform(0.2, 0.6)
        low = y + height * (0.9 - share)
        canvas.rectangle(
            x, low, width, height * share * 0.8, cloth, PANE, GLASS, number
        )


def surround(
    canvas: Canvas,
    window: WindowDesign,
    x: float,
    y: float,
    width: float,
    height: float,
    color: Color,
) -> None:
    """Draws the moulding round an opening, its sill and its hood."""
    edge = 0.11 * width
    canvas.polygon(
        outline(window.shape, x - edge, y, width + 2 * edge, height + edge),
        color,
        0.07,
    )
    canvas.rectangle(
        x - 1.6 * edge, y - 0.18, width + 3.2 * edge, 0.18, color, 0.22
    )
    _hood(
        canvas,
        window.hood,
        x - edge,
        y + height + edge,
        width + 2 * edge,
        color,
    )


def _hood(
    canvas: Canvas, kind: str, x: float, y: float, width: float, color: Color
) -> None:
    rise = 0.22 * width
    if kind == "flat":
        canvas.rectangle(x - 0.1, y + 0.1, width + 0.2, 0.22, color, 0.3)
    elif kind == "triangle":
        peak = [
            (x - 0.15, y + 0.08),
            (x + width + 0.15, y + 0.08),
            (x + width / 2, y + 0.12 + rise),
        ]
        canvas.polygon(np.array(peak), color, 0.32)
        inner = np.array(peak) * 0.66 + np.mean(peak, axis=0) * 0.34
        canvas.polygon(inner, shade(color, 0.9), 0.1)
    elif kind == "arch":
        middle = x + width / 2
        canvas.polygon(
            ellipse_points(middle, y, width / 2 + 0.12, rise, 0, 180),
            color,
            0.3,
        )
        canvas.polygon(
            ellipse_points(middle, y, width / 2 - 0.1, rise * 0.6, 0, 180),
            shade(color, 0.9),
            0.1,
        )


def shutters(
    canvas: Canvas,
    x: float,
    y: float,
    width: float,
    height: float,
    color: Color,
) -> None:
    """Draws open louvred shutters on both sides of an opening."""
    leaf = 0.42 * width
    slat = max(0.14, height / 14)
    for left in (x - leaf - 0.04, x + width + 0.04):
        canvas.rectangle(left, y, leaf, height, color, 0.09)
        for low in np.arange(y + slat, y + height - slat, slat):
            canvas.rectangle(
                left + 0.08,
                low,
                leaf - 0.16,
                slat * 0.4,
                shade(color, 0.62),
                0.05,
            )

"""Draws the floors of a facade, bay by bay."""

import numpy as np

from agem_tf.rendered_landmarks import entrances, openings
from agem_tf.rendered_landmarks.canvas import shade
from agem_tf.rendered_landmarks.design import BuildingDesign, WindowDesign


def draw_floor(
    canvas, rng, design: BuildingDesign, floor: int, low: float, height: float
) -> None:
    carried = design.ornaments
    if "bands" in carried or design.style.name in ("palazzo", "boulevard"):
        canvas.rectangle(
            -0.05, low - 0.15, design.width + 0.1, 0.3, design.trim, 0.2
        )
    if floor == 0 and "shops" in carried:
        _shops(canvas, rng, design, height)
        return
    if floor == 0 and "arcade" in carried:
        _arcade(canvas, design, height)
        return
    window = design.windows[floor]
    if window.shape in ("ribbon", "curtain"):
        _glass_band(canvas, rng, design, window, low, height)
        return
    for bay in range(design.bays):
        _bay(canvas, rng, design, floor, bay, low, height)
    if floor == 1 and "balconies" in carried:
        _balconies(canvas, rng, design, low + 0.16 * height)


def _bay(canvas, rng, design: BuildingDesign, floor, bay, low, height) -> None:
    window = design.windows[floor]
    wide = window.width * design.bay_width * 0.9
    tall = window.height * height
    x = design.margin + (bay + 0.5) * design.bay_width - wide / 2
    y = low + 0.2 * height
    carried = design.ornaments
    if "hoods" not in carried:
        window = WindowDesign(**dict(vars(window), hood="none"))
    openings.surround(canvas, window, x, y, wide, tall, design.trim)
    openings.glazed_opening(canvas, rng, window, x, y, wide, tall)
    if "shutters" in carried and floor:
        openings.shutters(canvas, x, y, wide, tall, design.accent)
    if "flowers" in carried and floor:
        canvas.rectangle(x, y - 0.1, wide, 0.3, (74, 100, 52), 0.4)
        for spot in rng.uniform(0, 0.9, 6):
            canvas.rectangle(
                x + spot * wide,
                y + rng.uniform(-0.1, 0.15),
                0.16,
                0.16,
                (196, 54, 62),
                0.45,
            )


def _glass_band(canvas, rng, design: BuildingDesign, window, low, height):
    """Fills a floor with panes from corner to corner."""
    tall = height * (0.82 if window.shape == "curtain" else window.height)
    y = low + (height - tall) * 0.6
    per_bay = window.columns
    wide = design.bay_width / per_bay
    pane = WindowDesign(**dict(vars(window), columns=1, rows=1))
    for number in range(design.bays * per_bay):
        x = design.margin + number * wide
        openings.glazed_opening(
            canvas, rng, pane, x + 0.02, y, wide - 0.04, tall
        )


def _shops(canvas, rng, design: BuildingDesign, height: float) -> None:
    for bay in range(design.bays):
        tone = shade(design.accent, float(rng.uniform(0.6, 1.2)))
        x = design.margin + bay * design.bay_width
        entrances.shop_front(
            canvas, rng, x + 0.1, design.bay_width - 0.2, 0.9 * height, tone
        )


def _arcade(canvas, design: BuildingDesign, height: float) -> None:
    wide = 0.74 * design.bay_width
    shape = "pointed" if design.windows[0].shape == "pointed" else "round"
    for bay in range(design.bays):
        x = design.margin + (bay + 0.5) * design.bay_width - wide / 2
        for edge, color, relief in (
            (0.16, design.trim, 0.15),
            (0.0, (44, 40, 38), -0.9),
        ):
            points = openings.outline(
                shape, x - edge, 0, wide + 2 * edge, 0.84 * height + edge
            )
            canvas.polygon(points, color, relief)


def _balconies(canvas, rng, design: BuildingDesign, y: float) -> None:
    solid = design.trim if rng.random() < 0.3 else None
    if rng.random() < 0.4:
        entrances.balcony(
            canvas, design.margin, y, design.width - 2 * design.margin, solid
        )
        return
    chosen = rng.random(design.bays) < 0.7
    for bay in np.flatnonzero(chosen):
        x = design.margin + bay * design.bay_width + 0.12 * design.bay_width
        entrances.balcony(canvas, x, y, 0.76 * design.bay_width, solid)

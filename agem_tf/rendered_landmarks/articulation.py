"""Draws what structures a facade beside its windows and what adorns it."""

import numpy as np

from agem_tf.rendered_landmarks import entrances, ornaments
from agem_tf.rendered_landmarks.canvas import WALL, Color, shade
from agem_tf.rendered_landmarks.design import BuildingDesign


def draw_articulation(canvas, rng, design: BuildingDesign) -> None:
    """Draws what stands between the windows."""
    carried = design.ornaments
    edges = design.margin + design.bay_width * np.arange(design.bays + 1)
    wide = 0.2 * design.bay_width
    if "base" in carried or "stairs" in carried:
        canvas.rectangle(
            0, 0, design.width, 1.0, shade(design.wall, 0.8), 0.15, WALL
        )
    if "colour_panels" in carried:
        _colour_panels(canvas, rng, design)
    if "pilasters" in carried:
        for x in edges:
            ornaments.pilaster(canvas, x, 0, wide, design.eaves, design.trim)
    if "fins" in carried:
        for x in edges:
            canvas.rectangle(
                x - 0.1, 2.5, 0.2, design.eaves - 2.5, design.trim, 0.6
            )
    if "buttresses" in carried:
        for x in edges:
            ornaments.buttress(canvas, x, 1.4 * wide, design.eaves, design.trim)
    if "quoins" in carried:
        for x in (0.5, design.width - 0.5):
            ornaments.quoins(canvas, x, 1.1, design.eaves, design.trim)
    if design.style.pattern == "timber":
        _timber_frame(canvas, rng, design, edges)


def _colour_panels(canvas, rng, design: BuildingDesign) -> None:
    levels = np.cumsum((0,) + design.floor_heights)
    for low, high in zip(levels[:-1], levels[1:], strict=True):
        for bay in range(design.bays):
            if rng.random() < 0.4:
                x = design.margin + bay * design.bay_width
                tone = shade(design.accent, float(rng.uniform(0.8, 1.2)))
                canvas.rectangle(
                    x, low, design.bay_width, high - low, tone, 0.04
                )


def _timber_frame(canvas, rng, design: BuildingDesign, edges) -> None:
    beam, color = 0.26, design.trim
    low = 0.0
    for floor, height in enumerate(design.floor_heights):
        canvas.rectangle(0, low, design.width, beam, color, 0.1)
        if floor:
            for x in edges:
                canvas.rectangle(x - beam / 2, low, beam, height, color, 0.08)
            for x, step in ((edges[0], 1), (edges[-1], -1)):
                if rng.random() < 0.7:
                    brace(
                        canvas,
                        x,
                        low,
                        step * design.bay_width * 0.5,
                        height,
                        beam,
                        color,
                    )
        low += height


def brace(canvas, x, y, width, height, beam, color: Color) -> None:
    points = [
        (x, y),
        (x + beam, y),
        (x + width + beam, y + height),
        (x + width, y + height),
    ]
    canvas.polygon(np.array(points), color, 0.07)


def draw_portal(canvas, rng, design: BuildingDesign) -> None:
    carried = design.ornaments
    great = "great_portal" in carried
    middle = design.width / 2
    height = design.floor_heights[0] * (0.95 if great else 0.66)
    wide = min(height * (0.62 if great else 0.5), 1.3 * design.bay_width)
    shape = design.windows[0].shape
    shape = shape if shape in ("round", "pointed", "segment") else "rectangle"
    if "columns" in carried:
        _portico(canvas, rng, design)
    if not ("shops" in carried or "arcade" in carried) or great:
        offset = 0.0 if great else float(rng.choice([-1, 0, 0, 1]))
        x = middle + offset * design.bay_width - wide / 2
        entrances.door(
            canvas, rng, shape, x, wide, height, design.door, design.trim
        )
    if "stairs" in carried:
        for step in range(4):
            half = (0.28 - 0.02 * step) * design.width
            canvas.rectangle(
                middle - half,
                0.22 * step,
                2 * half,
                0.22,
                shade(design.trim, 0.8 + 0.07 * step),
                1.4 - 0.3 * step,
            )


def _portico(canvas, rng, design: BuildingDesign) -> None:
    count = int(rng.integers(4, 9))
    half = design.width * rng.uniform(0.24, 0.44)
    height = design.eaves * (0.97 if rng.random() < 0.6 else 0.55)
    wide = min(0.35 * 2 * half / count, 0.11 * height)
    for x in np.linspace(-half, half, count):
        ornaments.column(
            canvas, design.width / 2 + x, 0, wide, height, design.trim
        )
    if height < 0.9 * design.eaves:
        canvas.rectangle(
            design.width / 2 - half - wide,
            height,
            2 * (half + wide),
            0.08 * height,
            design.trim,
            1.1,
        )


def draw_extras(canvas, rng, design: BuildingDesign) -> None:
    carried, middle = design.ornaments, design.width / 2
    levels = np.cumsum((0,) + design.floor_heights)
    if "rose" in carried:
        radius = 0.13 * design.width
        ornaments.rose_window(
            canvas,
            rng,
            middle,
            design.eaves - 1.6 * radius,
            radius,
            design.trim,
        )
    if "sign" in carried:
        wide = design.width * rng.uniform(0.3, 0.7)
        x = rng.uniform(0.1, 0.9) * (design.width - wide)
        level = float(rng.choice(levels[1:]))
        ornaments.signboard(
            canvas, rng, x, level - 0.5, wide, 1.3, design.accent
        )
    if "flags" in carried:
        for x in np.linspace(0.25, 0.75, int(rng.integers(2, 5))):
            ornaments.flag(canvas, rng, x * design.width, levels[1], 2.6)
    if "statues" in carried:
        for bay in range(1, design.bays):
            x = design.margin + bay * design.bay_width
            ornaments.statue(canvas, x, levels[1] + 0.5, 2.0, design.trim, True)
    if "fire_escape" in carried and len(levels) > 2:
        x = design.margin + design.bay_width * int(rng.integers(design.bays))
        ornaments.fire_escape(canvas, x, levels[1:], min(2.6, design.bay_width))
    if "diagonals" in carried:
        _diagonals(canvas, design)


def _diagonals(canvas, design: BuildingDesign) -> None:
    """Lays a lattice of steel braces over the front."""
    span = design.width / max(2, design.bays // 3)
    for x in np.arange(0, design.width - 0.5, span):
        for start, step in ((x, span), (x + span, -span)):
            for low in np.arange(0, design.eaves - 1, design.eaves / 2):
                brace(
                    canvas,
                    start,
                    low,
                    step,
                    design.eaves / 2,
                    0.35,
                    design.trim,
                )

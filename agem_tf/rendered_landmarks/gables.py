"""Gables: the fronts of roofs whose ridge is perpendicular to the street."""

import numpy as np

from agem_tf.rendered_landmarks import ornaments
from agem_tf.rendered_landmarks.building_design import BuildingDesign
from agem_tf.rendered_landmarks.openings import glazed_opening, surround
from agem_tf.rendered_landmarks.wall_surface import (
    WALL,
    WallDrawing,
    ellipse_points,
)


def gable(drawing: WallDrawing, design: BuildingDesign) -> None:
    """Draws a plain triangular gable with coping and a small window."""
    low, rise, width = design.eaves, design.crown_height, design.width
    outer = np.array([(-0.3, low), (width + 0.3, low), (width / 2, low + rise)])
    drawing.polygon(outer, design.trim, 0.4)
    inner = (outer - (width / 2, low)) * 0.93 + (width / 2, low)
    drawing.polygon(inner, design.wall, 0.0, WALL)
    gable_window(drawing, design, 0.3)


def stepped_gable(drawing: WallDrawing, design: BuildingDesign) -> None:
    """Draws a stepped gable, as on North European merchants' houses."""
    low, rise, width = design.eaves, design.crown_height, design.width
    steps = int(drawing.rng.integers(4, 7))
    for step in range(steps):
        wide = width * (1 - step / steps * 0.86)
        tall = rise / steps
        level, left = low + step * tall, (width - wide) / 2
        drawing.rectangle(left, level, wide, tall, design.wall, 0, WALL)
        cap = width * 0.86 / steps / 2 + 0.1
        for x in (left - 0.1, left + wide - cap + 0.1):
            drawing.rectangle(
                x,
                level + 0.88 * tall,
                cap,
                0.14 * tall + 0.1,
                design.trim,
                0.25,
            )
    drawing.rectangle(
        0.43 * width,
        low + 0.97 * rise,
        0.14 * width,
        0.03 * rise,
        design.trim,
        0.3,
    )
    gable_window(drawing, design, 0.3)


def curved_gable(drawing: WallDrawing, design: BuildingDesign) -> None:
    """Draws a gable with volutes and a round top, as on baroque facades."""
    low, rise, width = design.eaves, design.crown_height, design.width
    middle = width / 2
    waist = drawing.rng.uniform(0.2, 0.3) * width
    curve = np.linspace(0, 1, 12)
    side = waist + (width / 2 - waist) * (1 - curve) ** 2.4
    height = low + curve * 0.68 * rise
    right = np.column_stack([middle + side, height])
    left = np.column_stack([middle - side, height])[::-1]
    top = ellipse_points(middle, low + 0.68 * rise, waist, 0.3 * rise, 0, 180)
    edge = np.vstack([right, top, left])
    drawing.polygon(edge, design.trim, 0.35)
    inner = (edge - (middle, low)) * 0.91 + (middle, low)
    drawing.polygon(inner, design.wall, 0.0, WALL)
    ornaments.cornice(
        drawing,
        middle - waist - 0.3,
        low + 0.64 * rise,
        2 * waist + 0.6,
        0.07 * rise,
        design.trim,
    )
    gable_window(drawing, design, 0.33)


def gable_window(
    drawing: WallDrawing, design: BuildingDesign, share: float
) -> None:
    """Draws a clock, a rose window or windows at a fraction of the height."""
    middle, radius = design.width / 2, 0.09 * design.width
    level = design.eaves + share * design.crown_height
    kind = drawing.rng.random()
    if "clock" in design.ornaments:
        ornaments.clock(drawing, middle, level, radius)
    elif "rose" in design.ornaments or kind < 0.3:
        ornaments.rose_window(drawing, middle, level, radius, design.trim)
    else:
        window = design.windows[-1]
        count = int(drawing.rng.integers(1, 4))
        wide = 0.1 * design.width
        for number in range(count):
            x = middle + (number - count / 2 + 0.15) * 1.5 * wide
            low = level - radius
            surround(drawing, window, x, low, wide, 1.7 * wide, design.trim)
            glazed_opening(drawing, window, x, low, wide, 1.7 * wide)

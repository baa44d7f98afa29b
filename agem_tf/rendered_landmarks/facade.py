"""Draws a building's walls and roof from its design."""

import numpy as np

from agem_tf.rendered_landmarks import openings, ornaments
from agem_tf.rendered_landmarks.articulation import (
    draw_articulation,
    draw_extras,
    draw_portal,
)
from agem_tf.rendered_landmarks.canvas import ROOF, WALL, Canvas
from agem_tf.rendered_landmarks.crowns import CROWNS
from agem_tf.rendered_landmarks.design import BuildingDesign
from agem_tf.rendered_landmarks.floors import draw_floor
from agem_tf.rendered_landmarks.surface import Surface, finish

OVERHANG = 1.2
"""Metres beside the wall that cornices and flags may reach into."""


def front_surface(
    design: BuildingDesign, rng: np.random.Generator, texels: int
) -> Surface:
    """Draws the front, `texels` pixels along its longer side."""
    extent = max(design.width + 2 * OVERHANG, design.top)
    canvas = Canvas(
        -OVERHANG, design.width + OVERHANG, design.top, texels / extent
    )
    canvas.rectangle(0, 0, design.width, design.eaves, design.wall, 0, WALL)
    draw_articulation(canvas, rng, design)
    low = 0.0
    for floor, height in enumerate(design.floor_heights):
        draw_floor(canvas, rng, design, floor, low, height)
        low += height
    draw_portal(canvas, rng, design)
    CROWNS[design.crown](canvas, rng, design)
    depth = 0.05 * design.floor_heights[-1] + 0.35
    ornaments.cornice(
        canvas, 0, design.eaves - depth / 2, design.width, depth, design.trim
    )
    draw_extras(canvas, rng, design)
    return finish(canvas, rng, design.style.pattern, design.weathering)


def side_surface(
    design: BuildingDesign, rng: np.random.Generator, texels: int
) -> Surface:
    """Draws a plainer wall for the sides, `depth` metres wide.

    Under a roof whose ridge runs along the street it ends in a gable.
    """
    top = design.eaves + design.ridge_rise
    canvas = Canvas(0, design.depth, top, texels / max(design.depth, top))
    canvas.rectangle(0, 0, design.depth, design.eaves, design.wall, 0, WALL)
    gable = [
        (0, design.eaves),
        (design.depth, design.eaves),
        (design.depth / 2, top),
    ]
    canvas.polygon(np.array(gable), design.wall, 0, WALL)
    bays = max(2, round(design.depth / design.bay_width / 1.3))
    low = 0.0
    for window, height in zip(
        design.windows, design.floor_heights, strict=True
    ):
        for bay in range(bays):
            x = design.depth * (bay + 0.5) / bays
            wide, tall = 0.38 * design.bay_width, 0.5 * height
            openings.glazed_opening(
                canvas,
                rng,
                window,
                x - wide / 2,
                low + 0.25 * height,
                wide,
                tall,
            )
        low += height
    ornaments.cornice(
        canvas, 0, design.eaves - 0.5, design.depth, 0.5, design.trim
    )
    return finish(canvas, rng, design.style.pattern, design.weathering)


def roof_surface(
    design: BuildingDesign,
    rng: np.random.Generator,
    width: float,
    slope: float,
) -> Surface:
    """Draws a tiled slope, `width` by `slope` metres."""
    canvas = Canvas(0, width, slope, 160 / max(width, slope))
    canvas.rectangle(0, 0, width, slope, design.roof, 0, ROOF)
    return finish(canvas, rng, "plaster", design.weathering)

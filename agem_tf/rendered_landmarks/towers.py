"""Towers with spires, helmets and clocks on top of a facade."""

import numpy as np

from agem_tf.rendered_landmarks import ornaments
from agem_tf.rendered_landmarks.canvas import (
    ROOF,
    WALL,
    Canvas,
    ellipse_points,
    shade,
)
from agem_tf.rendered_landmarks.design import BuildingDesign
from agem_tf.rendered_landmarks.gables import gable
from agem_tf.rendered_landmarks.openings import glazed_opening
from agem_tf.rendered_landmarks.roofs import balustrade


def towers(
    canvas: Canvas, rng: np.random.Generator, design: BuildingDesign
) -> None:
    """Two towers with spires or helmets on either side of a gable."""
    gable(canvas, rng, lowered(design, 0.55))
    wide = design.width * rng.uniform(0.2, 0.27)
    share = rng.uniform(0.3, 0.5)
    second = 1.0 if rng.random() < 0.7 else rng.uniform(0.55, 0.8)
    pointed = design.style.name == "church"
    for x, size in ((0.0, 1.0), (design.width - wide, second)):
        _tower(
            canvas,
            rng,
            design,
            x,
            wide,
            size * design.crown_height,
            share,
            pointed,
        )


def clock_tower(
    canvas: Canvas, rng: np.random.Generator, design: BuildingDesign
) -> None:
    """One tower with a clock over the middle or a side."""
    balustrade(canvas, rng, lowered(design, 0.12))
    wide = design.width * rng.uniform(0.17, 0.24)
    x = (design.width - wide) * float(rng.choice([0.02, 0.5, 0.5, 0.98]))
    _tower(canvas, rng, design, x, wide, design.crown_height, 0.62, True)
    ornaments.clock(
        canvas,
        rng,
        x + wide / 2,
        design.eaves + 0.47 * design.crown_height,
        0.33 * wide,
    )


def _tower(canvas, rng, design, x, wide, rise, share, pointed) -> None:
    low, shaft = design.eaves, share * rise
    canvas.rectangle(
        x, 0.6 * low, wide, 0.4 * low + shaft, design.wall, 0.3, WALL
    )
    window = design.windows[-1]
    for column in (0.16, 0.56):
        glazed_opening(
            canvas,
            rng,
            window,
            x + column * wide,
            low + 0.1 * shaft,
            0.28 * wide,
            0.42 * shaft,
        )
    ornaments.cornice(
        canvas,
        x - 0.1,
        low + 0.93 * shaft,
        wide + 0.2,
        0.05 * rise,
        design.trim,
    )
    base, middle = low + 0.97 * shaft, x + wide / 2
    if pointed:
        for half, tone in ((0.56, 0.8), (0.25, 1.0)):
            spire = [
                (middle - half * wide, base),
                (middle + half * wide, base),
                (middle, low + rise),
            ]
            canvas.polygon(np.array(spire), shade(design.roof, tone), 0.3, ROOF)
        return
    for share_x in (1.0, 0.75, 0.45):
        helmet = ellipse_points(
            middle, base, 0.52 * wide * share_x, 0.3 * rise, 0, 180
        )
        canvas.polygon(
            helmet, shade(design.roof, 1.2 - 0.3 * share_x), 0.3, ROOF
        )
    canvas.rounded_column(
        middle - 0.1 * wide,
        base + 0.28 * rise,
        0.2 * wide,
        0.16 * rise,
        design.trim,
        0.4,
    )
    canvas.rectangle(
        middle - 0.06, base + 0.4 * rise, 0.12, 0.1 * rise, (196, 164, 84), 0.3
    )


def lowered(design: BuildingDesign, share: float) -> BuildingDesign:
    """The same design with a crown of a share of its height."""
    fields = dict(vars(design), crown_height=share * design.crown_height)
    return BuildingDesign(**fields)

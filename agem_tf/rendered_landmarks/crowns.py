"""Crowns: the top of a facade, from parapets to domes and towers.

Every crown is drawn by a function of the drawing and the design of the
building, between the eaves and the top of the design.
"""

import dataclasses

import numpy as np

from agem_tf.rendered_landmarks import gables, ornaments
from agem_tf.rendered_landmarks.building_design import (
    BuildingDesign,
    WindowDesign,
)
from agem_tf.rendered_landmarks.openings import glazed_opening, surround
from agem_tf.rendered_landmarks.wall_surface import (
    ROOF,
    WALL,
    WallDrawing,
    ellipse_points,
    shade,
)


def pediment(drawing: WallDrawing, design: BuildingDesign) -> None:
    """Draws a pediment with a clock or statues, between balustrades."""
    low, rise, middle = design.eaves, design.crown_height, design.width / 2
    half = design.width * drawing.rng.uniform(0.28, 0.5)
    if half < 0.45 * design.width:
        ornaments.balustrade(
            drawing, 0, low, design.width, 0.3 * rise, design.trim
        )
    outer = np.array(
        [(middle - half, low), (middle + half, low), (middle, low + rise)]
    )
    drawing.polygon(outer, design.trim, 0.6)
    inner = outer * (0.86, 1) + (0.14 * middle, 0)
    inner[:2, 1] += 0.12 * rise
    inner[2, 1] -= 0.14 * rise
    drawing.polygon(inner, design.wall, 0.1, WALL)
    if drawing.rng.random() < 0.5:
        ornaments.clock(drawing, middle, low + 0.4 * rise, 0.18 * rise)
        return
    for offset in np.linspace(-0.5, 0.5, int(drawing.rng.integers(3, 8))):
        height = 0.6 * rise * (1 - abs(offset))
        ornaments.statue(
            drawing,
            middle + offset * half,
            low + 0.14 * rise,
            height,
            design.trim,
            niche=False,
        )


def balustrade_crown(drawing: WallDrawing, design: BuildingDesign) -> None:
    """Draws a balustrade along the roof, in some designs with statues."""
    height = design.crown_height
    tall = 0.5 * height if "statues" in design.ornaments else 0.9 * height
    ornaments.balustrade(
        drawing, 0, design.eaves, design.width, tall, design.trim
    )
    if "statues" not in design.ornaments:
        return
    for x in np.linspace(0.6, design.width - 0.6, design.bays + 1):
        ornaments.statue(
            drawing,
            x,
            design.eaves + tall,
            height - tall,
            design.trim,
            niche=False,
        )


def dome(drawing: WallDrawing, design: BuildingDesign) -> None:
    """Draws a ribbed dome on a drum with a lantern."""
    low, rise, middle = design.eaves, design.crown_height, design.width / 2
    radius = min(0.26 * design.width, 0.6 * rise)
    drum = 0.28 * rise
    ornaments.balustrade(
        drawing, 0, low, design.width, 0.09 * rise, design.trim
    )
    drawing.rectangle(
        middle - radius, low, 2 * radius, drum, design.wall, 0, WALL
    )
    window = WindowDesign("round", 1, 1, 1, 2, "none", design.trim)
    for offset in (-0.66, -0.22, 0.22, 0.66):
        wide = 0.2 * radius
        glazed_opening(
            drawing,
            window,
            middle + offset * radius - wide / 2,
            low + 0.1 * rise,
            wide,
            0.6 * drum,
        )
    ornaments.cornice(
        drawing,
        middle - 1.04 * radius,
        low + 0.9 * drum,
        2.08 * radius,
        0.16 * drum,
        design.trim,
    )
    ribs = 15
    for rib in range(ribs):
        share = 1 - rib / ribs
        bulge = 1.3 * np.sqrt(1 - share * share)
        shell = ellipse_points(
            middle, low + drum * 1.05, share * radius, 0.5 * rise, 0, 180
        )
        tone = shade(design.roof, 1.0 if rib % 2 else 0.9)
        drawing.polygon(shell, tone, bulge, ROOF)
    _lantern(drawing, design, 0.13 * radius, low + drum + 0.5 * rise)


def _lantern(
    drawing: WallDrawing, design: BuildingDesign, radius: float, low: float
) -> None:
    """Draws a small turret with a cap on a dome, from `low` to the top."""
    middle, rise = design.width / 2, design.crown_height
    drawing.rounded_column(
        middle - radius, low, 2 * radius, 0.12 * rise, design.trim, 0.6
    )
    cap = [
        (middle - radius, design.top - 0.12 * rise),
        (middle + radius, design.top - 0.12 * rise),
        (middle, design.top),
    ]
    drawing.polygon(np.array(cap), design.roof, 0.5, ROOF)


def mansard(drawing: WallDrawing, design: BuildingDesign) -> None:
    """Draws a steep slate roof with dormers and chimneys."""
    low, rise, width = design.eaves, design.crown_height, design.width
    for x in drawing.rng.uniform(0.1, 0.86, 3) * width:
        drawing.rectangle(x, low, 0.05 * width, rise, (148, 92, 74), -0.6, WALL)
    inset = 0.03 * width
    slope = [
        (0, low),
        (width, low),
        (width - inset, low + 0.86 * rise),
        (inset, low + 0.86 * rise),
    ]
    drawing.polygon(np.array(slope), design.roof, -0.3, ROOF)
    window = WindowDesign(
        design.windows[-1].shape,
        1,
        1,
        2,
        2,
        "triangle" if drawing.rng.random() < 0.5 else "arch",
        design.windows[0].frame,
    )
    bay = design.bay_width
    for number in range(design.bays):
        x = design.margin + (number + 0.5) * bay
        wide, tall = 0.36 * bay, 0.5 * rise
        surround(
            drawing,
            window,
            x - wide / 2,
            low + 0.14 * rise,
            wide,
            tall,
            design.trim,
        )
        glazed_opening(
            drawing, window, x - wide / 2, low + 0.14 * rise, wide, tall
        )


def eaves(drawing: WallDrawing, design: BuildingDesign) -> None:
    """Draws a wide overhang on brackets."""
    low, rise, width = design.eaves, design.crown_height, design.width
    drawing.rectangle(
        -0.5, low + 0.4 * rise, width + 1, 0.6 * rise, design.roof, 1.3, ROOF
    )
    for x in np.arange(0.2, width, 0.9):
        drawing.rectangle(
            x, low, 0.25, 0.5 * rise, shade(design.roof, 0.7), 1.1
        )


def parapet(drawing: WallDrawing, design: BuildingDesign) -> None:
    """Draws a plain parapet with a coping."""
    low, rise, width = design.eaves, design.crown_height, design.width
    drawing.rectangle(0, low, width, rise, design.wall, 0.0, WALL)
    drawing.rectangle(
        -0.1, low + 0.8 * rise, width + 0.2, 0.2 * rise, design.trim, 0.3
    )


def penthouse(drawing: WallDrawing, design: BuildingDesign) -> None:
    """Draws a set-back storey with masts on a flat roof."""
    low, rise, width = design.eaves, design.crown_height, design.width
    left, right = np.sort(drawing.rng.uniform(0.05, 0.95, 2)) * width
    right = max(right, left + 0.3 * width)
    drawing.rectangle(
        left,
        low,
        min(right, width) - left,
        0.7 * rise,
        shade(design.wall, 0.86),
        -0.8,
        WALL,
    )
    for x in drawing.rng.uniform(left, min(right, width), 3):
        drawing.rectangle(x, low, 0.14, rise, (92, 92, 92), -0.8)
    drawing.rectangle(-0.1, low, width + 0.2, 0.12 * rise, design.trim, 0.3)


def ziggurat(drawing: WallDrawing, design: BuildingDesign) -> None:
    """Draws set-back storeys that narrow towards a mast."""
    low, rise, width = design.eaves, design.crown_height, design.width
    steps = int(drawing.rng.integers(2, 5))
    for step in range(steps):
        wide = width * (0.86 - 0.62 * step / steps)
        tall = 0.82 * rise / steps
        level = low + step * tall
        drawing.rectangle(
            (width - wide) / 2, level, wide, tall, design.wall, 0, WALL
        )
        for x in np.arange(0.08, 0.95, 0.14):
            drawing.rectangle(
                (width - wide) / 2 + x * wide,
                level,
                0.03 * wide,
                tall,
                design.trim,
                0.25,
            )
        drawing.rectangle(
            (width - wide) / 2,
            level + 0.9 * tall,
            wide,
            0.1 * tall,
            design.trim,
            0.3,
        )
    drawing.rectangle(
        width / 2 - 0.15,
        low + 0.8 * rise,
        0.3,
        0.2 * rise,
        (120, 118, 112),
        0.2,
    )


def towers(drawing: WallDrawing, design: BuildingDesign) -> None:
    """Draws two towers with spires or helmets beside a gable."""
    gables.gable(drawing, _lowered(design, 0.55))
    wide = design.width * drawing.rng.uniform(0.2, 0.27)
    share = drawing.rng.uniform(0.3, 0.5)
    second = (
        1.0 if drawing.rng.random() < 0.7 else drawing.rng.uniform(0.55, 0.8)
    )
    pointed = design.style.name == "church"
    for x, size in ((0.0, 1.0), (design.width - wide, second)):
        _tower(
            drawing, design, x, wide, size * design.crown_height, share, pointed
        )


def clock_tower(drawing: WallDrawing, design: BuildingDesign) -> None:
    """Draws one tower with a clock above the middle or a side."""
    balustrade_crown(drawing, _lowered(design, 0.12))
    wide = design.width * drawing.rng.uniform(0.17, 0.24)
    x = (design.width - wide) * float(
        drawing.rng.choice([0.02, 0.5, 0.5, 0.98])
    )
    _tower(drawing, design, x, wide, design.crown_height, 0.62, True)
    ornaments.clock(
        drawing,
        x + wide / 2,
        design.eaves + 0.47 * design.crown_height,
        0.33 * wide,
    )


def _tower(
    drawing: WallDrawing,
    design: BuildingDesign,
    x: float,
    wide: float,
    rise: float,
    share: float,
    pointed: bool,
) -> None:
    """Draws a tower whose shaft takes a share of its height above the eaves.

    It ends in a spire if `pointed`, else in a bell-shaped helmet.
    """
    low, shaft = design.eaves, share * rise
    drawing.rectangle(
        x, 0.6 * low, wide, 0.4 * low + shaft, design.wall, 0.3, WALL
    )
    window = design.windows[-1]
    for column in (0.16, 0.56):
        glazed_opening(
            drawing,
            window,
            x + column * wide,
            low + 0.1 * shaft,
            0.28 * wide,
            0.42 * shaft,
        )
    ornaments.cornice(
        drawing,
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
            drawing.polygon(
                np.array(spire), shade(design.roof, tone), 0.3, ROOF
            )
        return
    for share_x in (1.0, 0.75, 0.45):
        helmet = ellipse_points(
            middle, base, 0.52 * wide * share_x, 0.3 * rise, 0, 180
        )
        drawing.polygon(
            helmet, shade(design.roof, 1.2 - 0.3 * share_x), 0.3, ROOF
        )
    drawing.rounded_column(
        middle - 0.1 * wide,
        base + 0.28 * rise,
        0.2 * wide,
        0.16 * rise,
        design.trim,
        0.4,
    )
    drawing.rectangle(
        middle - 0.06, base + 0.4 * rise, 0.12, 0.1 * rise, (196, 164, 84), 0.3
    )


def _lowered(design: BuildingDesign, factor: float) -> BuildingDesign:
    """Returns the design with its crown height multiplied by `factor`."""
    return dataclasses.replace(
        design, crown_height=factor * design.crown_height
    )


CROWNS = {
    "pediment": pediment,
    "balustrade": balustrade_crown,
    "dome": dome,
    "mansard": mansard,
    "eaves": eaves,
    "gable": gables.gable,
    "towers": towers,
    "curved_gable": gables.curved_gable,
    "stepped_gable": gables.stepped_gable,
    "parapet": parapet,
    "clock_tower": clock_tower,
    "ziggurat": ziggurat,
    "penthouse": penthouse,
}

"""Upper ends of facades without gable or tower: domes, mansards, parapets."""

import numpy as np

from agem_tf.rendered_landmarks import ornaments
from agem_tf.rendered_landmarks.canvas import (
    ROOF,
    WALL,
    Canvas,
    ellipse_points,
    shade,
)
from agem_tf.rendered_landmarks.design import BuildingDesign, WindowDesign
from agem_tf.rendered_landmarks.openings import glazed_opening, surround


def pediment(
    canvas: Canvas, rng: np.random.Generator, design: BuildingDesign
) -> None:
    """A triangle over the middle bays with an emblem, between balustrades."""
    low, rise, middle = design.eaves, design.crown_height, design.width / 2
    half = design.width * rng.uniform(0.28, 0.5)
    if half < 0.45 * design.width:
        ornaments.balustrade(
            canvas, 0, low, design.width, 0.3 * rise, design.trim
        )
    outer = np.array(
        [(middle - half, low), (middle + half, low), (middle, low + rise)]
    )
    canvas.polygon(outer, design.trim, 0.6)
    inner = outer * (0.86, 1) + (0.14 * middle, 0)
    inner[:2, 1] += 0.12 * rise
    inner[2, 1] -= 0.14 * rise
    canvas.polygon(inner, design.wall, 0.1, WALL)
    if rng.random() < 0.5:
        ornaments.clock(canvas, rng, middle, low + 0.4 * rise, 0.18 * rise)
        return
    for offset in np.linspace(-0.5, 0.5, int(rng.integers(3, 8))):
        height = 0.6 * rise * (1 - abs(offset))
        ornaments.statue(
            canvas,
            middle + offset * half,
            low + 0.14 * rise,
            height,
            design.trim,
            niche=False,
        )


def balustrade(
    canvas: Canvas, rng: np.random.Generator, design: BuildingDesign
) -> None:
    """A balustrade along the roof, perhaps with statues on it."""
    height = design.crown_height
    tall = 0.5 * height if "statues" in design.ornaments else 0.9 * height
    ornaments.balustrade(
        canvas, 0, design.eaves, design.width, tall, design.trim
    )
    if "statues" not in design.ornaments:
        return
    for x in np.linspace(0.6, design.width - 0.6, design.bays + 1):
        ornaments.statue(
            canvas,
            x,
            design.eaves + tall,
            height - tall,
            design.trim,
            niche=False,
        )


def dome(
    canvas: Canvas, rng: np.random.Generator, design: BuildingDesign
) -> None:
    """A ribbed dome on a drum with a lantern."""
    low, rise, middle = design.eaves, design.crown_height, design.width / 2
    radius = min(0.26 * design.width, 0.6 * rise)
    drum = 0.28 * rise
    ornaments.balustrade(canvas, 0, low, design.width, 0.09 * rise, design.trim)
    canvas.rectangle(
        middle - radius, low, 2 * radius, drum, design.wall, 0, WALL
    )
    window = WindowDesign("round", 1, 1, 1, 2, "none", design.trim)
    for offset in (-0.66, -0.22, 0.22, 0.66):
        wide = 0.2 * radius
        glazed_opening(
            canvas,
            rng,
            window,
            middle + offset * radius - wide / 2,
            low + 0.1 * rise,
            wide,
            0.6 * drum,
        )
    ornaments.cornice(
        canvas,
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
        canvas.polygon(shell, tone, bulge, ROOF)
    _lantern(canvas, design, 0.13 * radius, low + drum + 0.5 * rise)


def _lantern(
    canvas: Canvas, design: BuildingDesign, radius: float, low: float
) -> None:
    """Sets a small turret with a cap on a dome, from `low` to the top."""
    middle, rise = design.width / 2, design.crown_height
    canvas.rounded_column(
        middle - radius, low, 2 * radius, 0.12 * rise, design.trim, 0.6
    )
    cap = [
        (middle - radius, design.top - 0.12 * rise),
        (middle + radius, design.top - 0.12 * rise),
        (middle, design.top),
    ]
    canvas.polygon(np.array(cap), design.roof, 0.5, ROOF)


def mansard(
    canvas: Canvas, rng: np.random.Generator, design: BuildingDesign
) -> None:
    """A steep slate roof with dormers and chimneys."""
    low, rise, width = design.eaves, design.crown_height, design.width
    for x in rng.uniform(0.1, 0.86, 3) * width:
        canvas.rectangle(x, low, 0.05 * width, rise, (148, 92, 74), -0.6, WALL)
    inset = 0.03 * width
    slope = [
        (0, low),
        (width, low),
        (width - inset, low + 0.86 * rise),
        (inset, low + 0.86 * rise),
    ]
    canvas.polygon(np.array(slope), design.roof, -0.3, ROOF)
    window = WindowDesign(
        design.windows[-1].shape,
        1,
        1,
        2,
        2,
        "triangle" if rng.random() < 0.5 else "arch",
        design.windows[0].frame,
    )
    bay = design.bay_width
    for number in range(design.bays):
        x = design.margin + (number + 0.5) * bay
        wide, tall = 0.36 * bay, 0.5 * rise
        surround(
            canvas,
            window,
            x - wide / 2,
            low + 0.14 * rise,
            wide,
            tall,
            design.trim,
        )
        glazed_opening(
            canvas, rng, window, x - wide / 2, low + 0.14 * rise, wide, tall
        )


def eaves(
    canvas: Canvas, rng: np.random.Generator, design: BuildingDesign
) -> None:
    """A wide overhang on brackets."""
    low, rise, width = design.eaves, design.crown_height, design.width
    canvas.rectangle(
        -0.5, low + 0.4 * rise, width + 1, 0.6 * rise, design.roof, 1.3, ROOF
    )
    for x in np.arange(0.2, width, 0.9):
        canvas.rectangle(x, low, 0.25, 0.5 * rise, shade(design.roof, 0.7), 1.1)


def parapet(
    canvas: Canvas, rng: np.random.Generator, design: BuildingDesign
) -> None:
    """A plain upstand with a coping."""
    low, rise, width = design.eaves, design.crown_height, design.width
    canvas.rectangle(0, low, width, rise, design.wall, 0.0, WALL)
    canvas.rectangle(
        -0.1, low + 0.8 * rise, width + 0.2, 0.2 * rise, design.trim, 0.3
    )


def penthouse(
    canvas: Canvas, rng: np.random.Generator, design: BuildingDesign
) -> None:
    """A set-back storey with plant and masts on a flat roof."""
    low, rise, width = design.eaves, design.crown_height, design.width
    left, right = np.sort(rng.uniform(0.05, 0.95, 2)) * width
    right = max(right, left + 0.3 * width)
    canvas.rectangle(
        left,
        low,
        min(right, width) - left,
        0.7 * rise,
        shade(design.wall, 0.86),
        -0.8,
        WALL,
    )
    for x in rng.uniform(left, min(right, width), 3):
        canvas.rectangle(x, low, 0.14, rise, (92, 92, 92), -0.8)
    canvas.rectangle(-0.1, low, width + 0.2, 0.12 * rise, design.trim, 0.3)


def ziggurat(
    canvas: Canvas, rng: np.random.Generator, design: BuildingDesign
) -> None:
    """Set-back storeys that narrow towards a mast."""
    low, rise, width = design.eaves, design.crown_height, design.width
    steps = int(rng.integers(2, 5))
    for step in range(steps):
        wide = width * (0.86 - 0.62 * step / steps)
        tall = 0.82 * rise / steps
        level = low + step * tall
        canvas.rectangle(
            (width - wide) / 2, level, wide, tall, design.wall, 0, WALL
        )
        for x in np.arange(0.08, 0.95, 0.14):
            canvas.rectangle(
                (width - wide) / 2 + x * wide,
                level,
                0.03 * wide,
                tall,
                design.trim,
                0.25,
            )
        canvas.rectangle(
            (width - wide) / 2,
            level + 0.9 * tall,
            wide,
            0.1 * tall,
            design.trim,
            0.3,
        )
    canvas.rectangle(
        width / 2 - 0.15,
        low + 0.8 * rise,
        0.3,
        0.2 * rise,
        (120, 118, 112),
        0.2,
    )

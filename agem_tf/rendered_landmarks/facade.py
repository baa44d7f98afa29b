"""Walls and roof of a building, drawn from its design."""

import dataclasses

import numpy as np

from agem_tf.rendered_landmarks import openings, ornaments
from agem_tf.rendered_landmarks.building_design import (
    BuildingDesign,
    WindowDesign,
)
from agem_tf.rendered_landmarks.crowns import CROWNS
from agem_tf.rendered_landmarks.wall_surface import (
    ROOF,
    WALL,
    Color,
    Surface,
    WallDrawing,
    finish,
    shade,
)

# Metres by which cornices and flags may project beside the wall.
_OVERHANG = 1.2


def front_surface(
    design: BuildingDesign, rng: np.random.Generator, texels: int
) -> Surface:
    """Draws the front with `texels` pixels along its longer side."""
    extent = max(design.width + 2 * _OVERHANG, design.top)
    drawing = WallDrawing(
        -_OVERHANG, design.width + _OVERHANG, design.top, texels / extent, rng
    )
    drawing.rectangle(0, 0, design.width, design.eaves, design.wall, 0, WALL)
    _draw_structure(drawing, design)
    low = 0.0
    for floor, height in enumerate(design.floor_heights):
        _draw_floor(drawing, design, floor, low, height)
        low += height
    _draw_portal(drawing, design)
    CROWNS[design.crown](drawing, design)
    depth = 0.05 * design.floor_heights[-1] + 0.35
    ornaments.cornice(
        drawing, 0, design.eaves - depth / 2, design.width, depth, design.trim
    )
    _draw_ornaments(drawing, design)
    return finish(drawing, design.style.pattern, design.weathering)


def side_surface(
    design: BuildingDesign, rng: np.random.Generator, texels: int
) -> Surface:
    """Draws the plainer side wall, `design.depth` metres wide.

    It ends in a gable if the ridge of the roof is parallel to the street.
    """
    top = design.eaves + design.ridge_rise
    drawing = WallDrawing(
        0, design.depth, top, texels / max(design.depth, top), rng
    )
    drawing.rectangle(0, 0, design.depth, design.eaves, design.wall, 0, WALL)
    gable = [
        (0, design.eaves),
        (design.depth, design.eaves),
        (design.depth / 2, top),
    ]
    drawing.polygon(np.array(gable), design.wall, 0, WALL)
    bays = max(2, round(design.depth / design.bay_width / 1.3))
    low = 0.0
    for window, height in zip(
        design.windows, design.floor_heights, strict=True
    ):
        for bay in range(bays):
            x = design.depth * (bay + 0.5) / bays
            wide, tall = 0.38 * design.bay_width, 0.5 * height
            openings.glazed_opening(
                drawing, window, x - wide / 2, low + 0.25 * height, wide, tall
            )
        low += height
    ornaments.cornice(
        drawing, 0, design.eaves - 0.5, design.depth, 0.5, design.trim
    )
    return finish(drawing, design.style.pattern, design.weathering)


def roof_surface(
    design: BuildingDesign, rng: np.random.Generator, width: float, slope: float
) -> Surface:
    """Draws one side of a roof, `width` by `slope` metres."""
    drawing = WallDrawing(0, width, slope, 160 / max(width, slope), rng)
    drawing.rectangle(0, 0, width, slope, design.roof, 0, ROOF)
    return finish(drawing, "plaster", design.weathering)


def _draw_structure(drawing: WallDrawing, design: BuildingDesign) -> None:
    """Draws base, pilasters, buttresses, fins, quoins and timber frame."""
    carried = design.ornaments
    edges = design.margin + design.bay_width * np.arange(design.bays + 1)
    wide = 0.2 * design.bay_width
    if "base" in carried or "stairs" in carried:
        drawing.rectangle(
            0, 0, design.width, 1.0, shade(design.wall, 0.8), 0.15, WALL
        )
    if "colour_panels" in carried:
        levels = np.cumsum((0,) + design.floor_heights)
        for low, high in zip(levels[:-1], levels[1:], strict=True):
            for bay in range(design.bays):
                if drawing.rng.random() < 0.4:
                    x = design.margin + bay * design.bay_width
                    tone = shade(
                        design.accent, float(drawing.rng.uniform(0.8, 1.2))
                    )
                    drawing.rectangle(
                        x, low, design.bay_width, high - low, tone, 0.04
                    )
    if "pilasters" in carried:
        for x in edges:
            ornaments.pilaster(drawing, x, 0, wide, design.eaves, design.trim)
    if "fins" in carried:
        for x in edges:
            drawing.rectangle(
                x - 0.1, 2.5, 0.2, design.eaves - 2.5, design.trim, 0.6
            )
    if "buttresses" in carried:
        for x in edges:
            ornaments.buttress(
                drawing, x, 1.4 * wide, design.eaves, design.trim
            )
    if "quoins" in carried:
        for x in (0.5, design.width - 0.5):
            ornaments.quoins(drawing, x, 1.1, design.eaves, design.trim)
    if design.style.pattern == "timber":
        _draw_timber_frame(drawing, design, edges)


def _draw_timber_frame(
    drawing: WallDrawing, design: BuildingDesign, edges: np.ndarray
) -> None:
    """Draws beams, posts at the x coordinates `edges`, and corner braces."""
    beam, color = 0.26, design.trim
    low = 0.0
    for floor, height in enumerate(design.floor_heights):
        drawing.rectangle(0, low, design.width, beam, color, 0.1)
        if floor:
            for x in edges:
                drawing.rectangle(x - beam / 2, low, beam, height, color, 0.08)
            for x, step in ((edges[0], 1), (edges[-1], -1)):
                if drawing.rng.random() < 0.7:
                    _draw_brace(
                        drawing,
                        x,
                        low,
                        step * design.bay_width * 0.5,
                        height,
                        beam,
                        color,
                    )
        low += height


def _draw_brace(
    drawing: WallDrawing,
    x: float,
    y: float,
    width: float,
    height: float,
    beam: float,
    color: Color,
) -> None:
    """Draws a slanting beam from (x, y) to (x + width, y + height)."""
    points = [
        (x, y),
        (x + beam, y),
        (x + width + beam, y + height),
        (x + width, y + height),
    ]
    drawing.polygon(np.array(points), color, 0.07)


def _draw_floor(
    drawing: WallDrawing,
    design: BuildingDesign,
    floor: int,
    low: float,
    height: float,
) -> None:
    """Draws a floor whose lower edge is at height `low`."""
    carried = design.ornaments
    if "bands" in carried or design.style.name in ("palazzo", "boulevard"):
        drawing.rectangle(
            -0.05, low - 0.15, design.width + 0.1, 0.3, design.trim, 0.2
        )
    if floor == 0 and "shops" in carried:
        for bay in range(design.bays):
            tone = shade(design.accent, float(drawing.rng.uniform(0.6, 1.2)))
            x = design.margin + bay * design.bay_width
            openings.shop_front(
                drawing, x + 0.1, design.bay_width - 0.2, 0.9 * height, tone
            )
        return
    if floor == 0 and "arcade" in carried:
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
                drawing.polygon(points, color, relief)
        return
    window = design.windows[floor]
    if window.shape in ("ribbon", "curtain"):
        _draw_glass_band(drawing, design, window, low, height)
        return
    for bay in range(design.bays):
        _draw_bay(drawing, design, floor, bay, low, height)
    if floor == 1 and "balconies" in carried:
        _draw_balconies(drawing, design, low + 0.16 * height)


def _draw_bay(
    drawing: WallDrawing,
    design: BuildingDesign,
    floor: int,
    bay: int,
    low: float,
    height: float,
) -> None:
    """Draws one window with its surround, shutters and flowers."""
    window = design.windows[floor]
    wide = window.width * design.bay_width * 0.9
    tall = window.height * height
    x = design.margin + (bay + 0.5) * design.bay_width - wide / 2
    y = low + 0.2 * height
    carried = design.ornaments
    if "hoods" not in carried:
        window = dataclasses.replace(window, hood="none")
    openings.surround(drawing, window, x, y, wide, tall, design.trim)
    openings.glazed_opening(drawing, window, x, y, wide, tall)
    if "shutters" in carried and floor:
        openings.shutters(drawing, x, y, wide, tall, design.accent)
    if "flowers" in carried and floor:
        drawing.rectangle(x, y - 0.1, wide, 0.3, (74, 100, 52), 0.4)
        for spot in drawing.rng.uniform(0, 0.9, 6):
            drawing.rectangle(
                x + spot * wide,
                y + drawing.rng.uniform(-0.1, 0.15),
                0.16,
                0.16,
                (196, 54, 62),
                0.45,
            )


def _draw_glass_band(
    drawing: WallDrawing,
    design: BuildingDesign,
    window: WindowDesign,
    low: float,
    height: float,
) -> None:
    """Draws panes over the whole width of a floor."""
    tall = height * (0.82 if window.shape == "curtain" else window.height)
    y = low + (height - tall) * 0.6
    per_bay = window.columns
    wide = design.bay_width / per_bay
    pane = dataclasses.replace(window, columns=1, rows=1)
    for number in range(design.bays * per_bay):
        x = design.margin + number * wide
        openings.glazed_opening(drawing, pane, x + 0.02, y, wide - 0.04, tall)


def _draw_balconies(
    drawing: WallDrawing, design: BuildingDesign, y: float
) -> None:
    """Draws one wide balcony, or balconies at some of the bays."""
    solid = design.trim if drawing.rng.random() < 0.3 else None
    if drawing.rng.random() < 0.4:
        openings.balcony(
            drawing, design.margin, y, design.width - 2 * design.margin, solid
        )
        return
    chosen = drawing.rng.random(design.bays) < 0.7
    for bay in np.flatnonzero(chosen):
        x = design.margin + bay * design.bay_width + 0.12 * design.bay_width
        openings.balcony(drawing, x, y, 0.76 * design.bay_width, solid)


def _draw_portal(drawing: WallDrawing, design: BuildingDesign) -> None:
    """Draws door, portico and stairs."""
    carried = design.ornaments
    great = "great_portal" in carried
    middle = design.width / 2
    height = design.floor_heights[0] * (0.95 if great else 0.66)
    wide = min(height * (0.62 if great else 0.5), 1.3 * design.bay_width)
    shape = design.windows[0].shape
    shape = shape if shape in ("round", "pointed", "segment") else "rectangle"
    if "columns" in carried:
        count = int(drawing.rng.integers(4, 9))
        half = design.width * drawing.rng.uniform(0.24, 0.44)
        tall = design.eaves * (0.97 if drawing.rng.random() < 0.6 else 0.55)
        thick = min(0.35 * 2 * half / count, 0.11 * tall)
        for offset in np.linspace(-half, half, count):
            ornaments.column(
                drawing, middle + offset, 0, thick, tall, design.trim
            )
        if tall < 0.9 * design.eaves:
            drawing.rectangle(
                middle - half - thick,
                tall,
                2 * (half + thick),
                0.08 * tall,
                design.trim,
                1.1,
            )
    if not ("shops" in carried or "arcade" in carried) or great:
        offset = 0.0 if great else float(drawing.rng.choice([-1, 0, 0, 1]))
        x = middle + offset * design.bay_width - wide / 2
        openings.door(drawing, shape, x, wide, height, design.door, design.trim)
    if "stairs" in carried:
        for step in range(4):
            half = (0.28 - 0.02 * step) * design.width
            drawing.rectangle(
                middle - half,
                0.22 * step,
                2 * half,
                0.22,
                shade(design.trim, 0.8 + 0.07 * step),
                1.4 - 0.3 * step,
            )


def _draw_ornaments(drawing: WallDrawing, design: BuildingDesign) -> None:
    """Draws rose window, sign, flags, statues, fire escape and diagonals."""
    carried, middle = design.ornaments, design.width / 2
    levels = np.cumsum((0,) + design.floor_heights)
    if "rose" in carried:
        radius = 0.13 * design.width
        ornaments.rose_window(
            drawing, middle, design.eaves - 1.6 * radius, radius, design.trim
        )
    if "sign" in carried:
        wide = design.width * drawing.rng.uniform(0.3, 0.7)
        x = drawing.rng.uniform(0.1, 0.9) * (design.width - wide)
        level = float(drawing.rng.choice(levels[1:]))
        ornaments.signboard(drawing, x, level - 0.5, wide, 1.3, design.accent)
    if "flags" in carried:
        for x in np.linspace(0.25, 0.75, int(drawing.rng.integers(2, 5))):
            ornaments.flag(drawing, x * design.width, levels[1], 2.6)
    if "statues" in carried:
        for bay in range(1, design.bays):
            x = design.margin + bay * design.bay_width
            ornaments.statue(
                drawing, x, levels[1] + 0.5, 2.0, design.trim, True
            )
    if "fire_escape" in carried and len(levels) > 2:
        x = design.margin + design.bay_width * int(
            drawing.rng.integers(design.bays)
        )
        ornaments.fire_escape(
            drawing, x, levels[1:], min(2.6, design.bay_width)
        )
    if "diagonals" in carried:
        # A lattice of steel braces over the whole front.
        span = design.width / max(2, design.bays // 3)
        for x in np.arange(0, design.width - 0.5, span):
            for start, step in ((x, span), (x + span, -span)):
                for low in np.arange(0, design.eaves - 1, design.eaves / 2):
                    _draw_brace(
                        drawing,
                        start,
                        low,
                        step,
                        design.eaves / 2,
                        0.35,
                        design.trim,
                    )

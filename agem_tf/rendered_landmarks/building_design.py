"""Sampled design of one building: dimensions, colours, windows, ornaments.

The design is separate from the drawing, so that the side walls repeat the
windows of the front and tests compare landmarks without rendering them.
"""

from dataclasses import dataclass

import numpy as np

from agem_tf.rendered_landmarks.building_styles import STYLES, Style
from agem_tf.rendered_landmarks.wall_surface import Color, shade

_DOOR_COLORS: tuple[Color, ...] = (
    (72, 48, 34),
    (34, 62, 48),
    (120, 36, 30),
    (38, 52, 84),
    (52, 50, 48),
)
_ACCENTS: tuple[Color, ...] = (
    (54, 92, 70),
    (60, 84, 118),
    (138, 56, 44),
    (196, 160, 70),
    (92, 66, 54),
    (86, 116, 120),
    (206, 204, 196),
)


@dataclass(frozen=True)
class WindowDesign:
    """Windows of one floor.

    Attributes:
        shape: shape of the opening; see `openings.outline`.
        width: width of the opening as a fraction of the bay's.
        height: height of the opening as a fraction of the floor's.
        columns, rows: number of panes.
        hood: "none", "flat", "triangle" or "arch".
        frame: sRGB colour of the glazing bars.
    """

    shape: str
    width: float
    height: float
    columns: int
    rows: int
    hood: str
    frame: Color


@dataclass(frozen=True)
class BuildingDesign:
    """Everything that distinguishes a building from others of its style.

    Lengths are in metres. `floor_heights` and `windows` have one entry per
    floor, from the ground up. `weathering`, in [0, 1], is the amount of dirt.
    """

    style: Style
    width: float
    depth: float
    bays: int
    floor_heights: tuple[float, ...]
    windows: tuple[WindowDesign, ...]
    wall: Color
    trim: Color
    roof: Color
    accent: Color
    door: Color
    crown: str
    crown_height: float
    ornaments: frozenset[str]
    weathering: float

    @property
    def eaves(self) -> float:
        """Height of the upper edge of the wall."""
        return sum(self.floor_heights)

    @property
    def top(self) -> float:
        """Height of the highest point."""
        return self.eaves + self.crown_height

    @property
    def ridge_rise(self) -> float:
        """Height above the eaves of a ridge parallel to the street, else 0."""
        return 0.24 * self.depth if self.style.roof == "across" else 0.0

    @property
    def bay_width(self) -> float:
        """Width of one bay."""
        return (self.width - 2 * self.margin) / self.bays

    @property
    def margin(self) -> float:
        """Width of the wall at either corner that belongs to no bay."""
        return 0.05 * self.width


# Crown heights divided by the smaller of width and eaves.
CROWN_HEIGHTS = {
    "pediment": 0.3,
    "balustrade": 0.1,
    "dome": 0.75,
    "mansard": 0.24,
    "eaves": 0.06,
    "gable": 0.55,
    "towers": 0.85,
    "curved_gable": 0.4,
    "stepped_gable": 0.45,
    "parapet": 0.07,
    "clock_tower": 0.95,
    "ziggurat": 0.32,
    "penthouse": 0.17,
}


def _pick(rng: np.random.Generator, options: tuple):
    return options[int(rng.integers(len(options)))]


def _tinted(rng: np.random.Generator, color: Color, spread: float) -> Color:
    toned = shade(color, float(rng.uniform(0.92, 1.08)))
    offsets = rng.uniform(-spread, spread, 3)
    return tuple(
        int(np.clip(channel + offset, 0, 255))
        for channel, offset in zip(toned, offsets, strict=True)
    )


def _window(
    rng: np.random.Generator, style: Style, frame: Color
) -> WindowDesign:
    shape = _pick(rng, style.windows)
    wide = shape in ("ribbon", "curtain")
    return WindowDesign(
        shape=shape,
        width=1.0 if wide else float(rng.uniform(0.36, 0.64)),
        height=float(rng.uniform(0.5, 0.6) if wide else rng.uniform(0.5, 0.68)),
        columns=int(rng.integers(1, 4)),
        rows=int(rng.integers(1, 5)),
        hood=_pick(rng, ("none", "flat", "triangle", "arch")),
        frame=frame,
    )


def _floor_windows(
    rng: np.random.Generator, style: Style, floors: int
) -> tuple[WindowDesign, ...]:
    """Samples the windows of each floor; most floors repeat the one below."""
    light = rng.random() < 0.6
    frame = _tinted(rng, (222, 218, 208) if light else (58, 50, 46), 10)
    windows = [_window(rng, style, frame)]
    for _ in range(floors - 1):
        repeat = rng.random() < 0.55
        windows.append(windows[-1] if repeat else _window(rng, style, frame))
    return tuple(windows)


def _floor_heights(
    rng: np.random.Generator, style: Style, floors: int
) -> tuple[float, ...]:
    usual = rng.uniform(*style.floor_height)
    heights = usual * rng.uniform(0.92, 1.06, floors)
    heights[0] *= rng.uniform(1.0, 1.3)
    heights[-1] *= rng.uniform(0.8, 1.0)
    return tuple(float(height) for height in heights)


def design_building(rng: np.random.Generator) -> BuildingDesign:
    """Samples the design of a building of a random style."""
    style = _pick(rng, STYLES)
    floors = int(rng.integers(style.floors[0], style.floors[1] + 1))
    bays = int(rng.integers(style.bays[0], style.bays[1] + 1))
    heights = _floor_heights(rng, style, floors)
    width = bays * float(rng.uniform(*style.bay_width)) / 0.9
    crown = _pick(rng, style.crowns)
    share = CROWN_HEIGHTS[crown] * float(rng.uniform(0.8, 1.2))
    count = int(rng.integers(2, len(style.ornaments) + 1))
    chosen = rng.permutation(len(style.ornaments))[:count]
    return BuildingDesign(
        style=style,
        width=width,
        depth=min(width, 22.0) * float(rng.uniform(0.6, 1.1)),
        bays=bays,
        floor_heights=heights,
        windows=_floor_windows(rng, style, floors),
        wall=_tinted(rng, _pick(rng, style.walls), 7),
        trim=_tinted(rng, _pick(rng, style.trims), 6),
        roof=_tinted(rng, _pick(rng, style.roofs), 6),
        accent=_tinted(rng, _pick(rng, _ACCENTS), 12),
        door=_tinted(rng, _pick(rng, _DOOR_COLORS), 8),
        crown=crown,
        crown_height=share * min(width, sum(heights)),
        ornaments=frozenset(style.ornaments[index] for index in chosen),
        weathering=float(rng.uniform(0.3, 1.0)),
    )

"""Buildings made of a few walls, and the landmarks that consist of one."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from agem_tf.rendered_landmarks.building_design import (
    BuildingDesign,
    design_building,
)
from agem_tf.rendered_landmarks.facade import (
    front_surface,
    roof_surface,
    side_surface,
)
from agem_tf.rendered_landmarks.painter import Painter
from agem_tf.rendered_landmarks.shading import Orientation
from agem_tf.rendered_landmarks.wall_surface import Surface

FRONT = Orientation(np.array([1.0, 0, 0]), np.array([0, 1.0, 0]))
LEFT = Orientation(np.array([0, 0, 1.0]), np.array([0, 1.0, 0]))
RIGHT = Orientation(np.array([0, 0, -1.0]), np.array([0, 1.0, 0]))

LANDMARK_TEXELS = 560
NEIGHBOUR_TEXELS = 256
NEIGHBOURS = 20
NEIGHBOUR_STREAM = 1 << 20


@dataclass(frozen=True, eq=False)
class Building:
    """Walls of a building; the lower left corner of its front is the origin.

    Attributes:
        design: design from which the walls were drawn.
        front, side, roof: the walls; `roof` is None for flat roofs.
    """

    design: BuildingDesign
    front: Surface
    side: Surface
    roof: Surface | None


def make_building(rng: np.random.Generator, texels: int) -> Building:
    """Designs and draws a building whose front is `texels` pixels long."""
    design = design_building(rng)
    front = front_surface(design, rng, texels)
    side = side_surface(design, rng, texels // 2)
    roof = None
    if design.style.roof != "flat":
        along = design.style.roof == "along"
        length = design.depth if along else design.width
        roof = roof_surface(design, rng, length, np.hypot(*_roof_slope(design)))
    return Building(design, front, side, roof)


def _roof_slope(design: BuildingDesign) -> tuple[float, float]:
    """Horizontal run and rise of one side of the roof in metres."""
    if design.style.roof == "across":
        return design.depth / 2, design.ridge_rise
    rise = design.crown_height
    if design.crown in ("towers", "dome", "curved_gable"):
        rise *= 0.5
    return design.width / 2, 0.96 * rise


def paint_building(
    painter: Painter, building: Building, x: float, z: float, detailed: bool
) -> None:
    """Paints the walls that face the camera.

    Args:
        painter: painter of the photo.
        building: the building.
        x, z: position of the front's lower left corner in the world, in metres.
        detailed: whether the relief of the front is shaded.
    """
    design = building.design
    origin = np.array([x, 0.0, z])
    right = origin + (design.width, 0, 0)
    back = origin - (0, 0, design.depth)
    painter.paint_surface(building.side, back, LEFT, False)
    painter.paint_surface(building.side, right, RIGHT, False)
    if building.roof is not None:
        _paint_roof(painter, building, origin)
    paint_front(painter, building, x, z, detailed)


def paint_front(
    painter: Painter, building: Building, x: float, z: float, detailed: bool
) -> None:
    """Paints the front alone, for distant buildings; see `paint_building`."""
    origin = np.array([x, 0.0, z])
    painter.paint_surface(building.front, origin, FRONT, detailed)


def _paint_roof(
    painter: Painter, building: Building, origin: np.ndarray
) -> None:
    """Paints the side of the roof above the front, or both lateral sides."""
    design = building.design
    run, rise = _roof_slope(design)
    length = np.hypot(run, rise)
    eaves = origin + (0, design.eaves, 0)
    if design.style.roof == "across":
        slope = np.array([0, rise, -run]) / length
        painter.paint_surface(
            building.roof, eaves, Orientation(FRONT.across, slope), False
        )
        return
    for wall, side, corner in (
        (LEFT, 1, (0, 0, -design.depth)),
        (RIGHT, -1, (design.width, 0, 0)),
    ):
        slope = np.array([side * run, rise, 0]) / length
        painter.paint_surface(
            building.roof,
            eaves + corner,
            Orientation(wall.across, slope),
            False,
        )


@dataclass(frozen=True, eq=False)
class Landmark:
    """Building of which the photos of a dataset are rendered.

    Attributes:
        seed: seed of the dataset.
        index: index of the landmark in the dataset.
        building: the walls.
    """

    seed: int
    index: int
    building: Building

    @property
    def width(self) -> float:
        """Width of the facade in metres."""
        return self.building.design.width

    @property
    def height(self) -> float:
        """Height of the facade with its crown in metres."""
        return self.building.design.top

    @property
    def style(self) -> str:
        """Name of the architectural style."""
        return self.building.design.style.name


@lru_cache(maxsize=8)
def make_landmark(seed: int, index: int) -> Landmark:
    """Returns a landmark; the last few are cached.

    Args:
        seed: seed of the dataset, at least 0.
        index: index of the landmark in the dataset, at least 0.

    Raises:
        ValueError: a number is negative.
    """
    for name, value in (("seed", seed), ("index", index)):
        if value < 0:
            raise ValueError(
                f"`{name}` must be at least 0. Received: {name}={value}"
            )
    rng = np.random.default_rng([seed, index])
    return Landmark(seed, index, make_building(rng, LANDMARK_TEXELS))


@lru_cache(maxsize=NEIGHBOURS)
def make_neighbour(number: int) -> Building:
    """Returns one of the coarser buildings that surround the landmarks."""
    rng = np.random.default_rng([NEIGHBOUR_STREAM, number])
    return make_building(rng, NEIGHBOUR_TEXELS)

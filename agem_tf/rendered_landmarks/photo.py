"""Renders a photograph of a landmark and records what it shows."""

from dataclasses import dataclass

import cv2
import numpy as np

from agem_tf.rendered_landmarks.building import Landmark
from agem_tf.rendered_landmarks.camera import Camera, apply_homography
from agem_tf.rendered_landmarks.light import draw_light
from agem_tf.rendered_landmarks.painter import Painter
from agem_tf.rendered_landmarks.photometry import develop, draw_development
from agem_tf.rendered_landmarks.scene import paint_scene
from agem_tf.rendered_landmarks.settings import SceneSettings
from agem_tf.rendered_landmarks.views import plan_camera

SUPERSAMPLING = 2
GRID = 32
SMALLEST_SIZE = 64
DEFAULT_SETTINGS = SceneSettings()


@dataclass(frozen=True, eq=False)
class View:
    """What a photograph shows of a landmark; all that relations need.

    Attributes:
      landmark: index of the landmark.
      index: of the view among those of the landmark.
      homography: (3, 3) float64; maps homogeneous metres on the facade, x to
        the right from its left edge and y up from the ground, to homogeneous
        pixels, the image's upper left corner being (0, 0). The third
        coordinate is positive before the camera.
      box: (x1, y1, x2, y2) in pixels round the visible part of the facade;
        zeros when nothing is visible.
      visible: (GRID, GRID) bool, rows from the ground up; the cells of the
        facade's bounding rectangle that are in the frame and not occluded.
      visible_fraction: share of the facade's own cells that are visible.
      yaw: degrees from the facade's normal to the camera, positive right.
      scale: pixels per metre in the middle of what is visible, for a
        photograph `size` pixels long (so compare views of one size only).
      light: name of the light, a key of `light.CONDITIONS`.
    """

    landmark: int
    index: int
    homography: np.ndarray
    box: tuple[float, float, float, float]
    visible: np.ndarray
    visible_fraction: float
    yaw: float
    scale: float
    light: str


@dataclass(frozen=True, eq=False)
class Photo:
    """A photograph: (height, width, 3) uint8 RGB, and what it shows."""

    image: np.ndarray
    view: View


def render(
    landmark: Landmark,
    index: int,
    size: int = 256,
    settings: SceneSettings = DEFAULT_SETTINGS,
) -> Photo:
    """Takes one photograph of a landmark.

    The result depends on the landmark, on `index`, on `size` and on nothing
    that was rendered before.

    Args:
      landmark: from `make_landmark`.
      index: of the view, at least 0.
      size: the longer side in pixels, at least 64; the sides are as 4 to 3.
      settings: how much photographs differ.

    Raises:
      ValueError: for an index or a size that is too small.
    """
    if index < 0:
        raise ValueError(f"`index` must be at least 0. Received: index={index}")
    if size < SMALLEST_SIZE:
        raise ValueError(
            f"`size` must be at least {SMALLEST_SIZE}. Received: size={size}"
        )
    seeds = np.random.SeedSequence([landmark.seed, landmark.index, index])
    place, weather, things, reflections, lens = map(
        np.random.default_rng, seeds.spawn(5)
    )
    camera, yaw = plan_camera(
        place, landmark.width, landmark.height, size, settings
    )
    light = draw_light(weather, settings)
    painter = Painter(camera.enlarged(SUPERSAMPLING), light, reflections)
    paint_scene(painter, landmark, things, settings)
    frame = cv2.resize(
        painter.frame,
        (camera.width, camera.height),
        interpolation=cv2.INTER_AREA,
    )
    development = draw_development(lens, settings)
    image = develop(
        cv2.cvtColor(frame, cv2.COLOR_BGRA2BGR),
        development,
        light.condition.exposure,
        lens,
    )
    view = _record(landmark, index, camera, yaw, painter.occlusion, light.name)
    return Photo(image, view)


def _record(
    landmark: Landmark,
    index: int,
    camera: Camera,
    yaw: float,
    occlusion: np.ndarray,
    light: str,
) -> View:
    homography = camera.plane_homography(
        np.zeros(3), np.array([1.0, 0, 0]), np.array([0, 1.0, 0])
    )
    cell = np.array([landmark.width, landmark.height]) / GRID
    facade = _facade_cells(landmark, cell)
    centres = (np.argwhere(facade)[:, ::-1] + 0.5) * cell
    seen = _in_sight(homography, centres, camera, occlusion)
    visible = np.zeros((GRID, GRID), bool)
    visible[facade] = seen
    scale, box = 0.0, (0.0, 0.0, 0.0, 0.0)
    if seen.any():
        box = _box(homography, centres[seen], cell, camera)
        scale = _scale(homography, centres[seen].mean(axis=0))
    return View(
        landmark.index,
        index,
        homography,
        box,
        visible,
        float(seen.mean()),
        yaw,
        scale,
        light,
    )


def _facade_cells(landmark: Landmark, cell: np.ndarray) -> np.ndarray:
    """The cells (GRID, GRID) whose centre lies on the facade."""
    front = landmark.building.front
    steps = np.arange(GRID) + 0.5
    columns = (steps * cell[0] - front.left) * front.pixels_per_metre
    rows = (front.top - steps * cell[1]) * front.pixels_per_metre
    inside = front.coverage[
        rows.astype(int)[:, None], columns.astype(int)[None]
    ]
    return inside > 127


def _in_sight(
    homography: np.ndarray,
    points: np.ndarray,
    camera: Camera,
    occlusion: np.ndarray,
) -> np.ndarray:
    depth = points @ homography[2, :2] + homography[2, 2]
    pixels = apply_homography(homography, points)
    limits = np.array([camera.width, camera.height])
    inside = ((pixels >= 0) & (pixels < limits)).all(axis=1) & (depth > 0)
    x, y = (np.where(inside[:, None], pixels, 0) * SUPERSAMPLING).astype(int).T
    return inside & (occlusion[y, x] < 0.5)


def _box(
    homography: np.ndarray,
    centres: np.ndarray,
    cell: np.ndarray,
    camera: Camera,
) -> tuple[float, float, float, float]:
    """Bounds of the visible cells' corners, cut at the frame."""
    signs = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)])
    corners = (centres[:, None] + signs * cell).reshape(-1, 2)
    pixels = apply_homography(homography, corners)
    pixels = np.clip(pixels, 0, (camera.width, camera.height))
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _scale(homography: np.ndarray, point: np.ndarray) -> float:
    """Square root of the area in pixels of a square metre at a point."""
    square = point + 0.5 * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    x, y = apply_homography(homography, square).T
    twice_area = np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))
    return float(np.sqrt(abs(twice_area) / 2))

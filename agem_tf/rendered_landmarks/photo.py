"""Photos of landmarks, what they show, and how they relate to each other.

The relations are those of the revisited Oxford and Paris benchmarks: an
"easy" photo clearly shows what the query shows, a "hard" one shows it under a
strong change, and a "junk" one shows so little of it that finding it counts
neither for nor against a system.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from agem_tf.rendered_landmarks.building import FRONT, Landmark
from agem_tf.rendered_landmarks.camera import (
    Camera,
    apply_homography,
    plan_camera,
)
from agem_tf.rendered_landmarks.light import DARKNESS, draw_light
from agem_tf.rendered_landmarks.painter import Painter
from agem_tf.rendered_landmarks.photometry import develop, draw_development
from agem_tf.rendered_landmarks.scene import paint_scene
from agem_tf.rendered_landmarks.scene_settings import SceneSettings

_SUPERSAMPLING = 2
GRID = 32
_SMALLEST_SIZE = 64
_DEFAULT_SETTINGS = SceneSettings()


@dataclass(frozen=True, eq=False)
class View:
    """Geometry and light of a photo, from which relations are computed.

    Attributes:
        landmark: index of the landmark.
        index: index of the view among those of the landmark.
        homography: (3, 3) float64; maps homogeneous metres on the facade, x to
            the right from its left edge and y up from the ground, to
            homogeneous pixels, where (0, 0) is the upper left corner of the
            image. The third coordinate is positive in front of the camera.
        box: (x1, y1, x2, y2) bounds in pixels of the visible part of the
            facade; zeros if nothing is visible.
        visible: (GRID, GRID) bool, rows from the ground up; True for cells of
            the facade's bounding rectangle that are in the frame and not
            occluded.
        visible_fraction: visible share of the cells that lie on the facade.
        yaw: angle in degrees from the normal of the facade to the camera,
            positive to the right.
        scale: pixels per metre in the middle of the visible part. It depends on
            the size of the photo: compare only views of the same size.
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
    """Photo, (height, width, 3) uint8 RGB, and its view."""

    image: np.ndarray
    view: View


def render(
    landmark: Landmark,
    index: int,
    size: int = 256,
    settings: SceneSettings = _DEFAULT_SETTINGS,
) -> Photo:
    """Renders one photo of a landmark.

    The result is determined by the arguments; it does not depend on photos
    rendered before.

    Args:
        landmark: result of `make_landmark`.
        index: index of the view, at least 0.
        size: longer side in pixels, at least 64; the aspect ratio is 4:3.
        settings: distribution of viewpoint, light, clutter and image quality.

    Raises:
        ValueError: the index or the size is too small.
    """
    if index < 0:
        raise ValueError(f"`index` must be at least 0. Received: index={index}")
    if size < _SMALLEST_SIZE:
        raise ValueError(
            f"`size` must be at least {_SMALLEST_SIZE}. Received: size={size}"
        )
    seeds = np.random.SeedSequence([landmark.seed, landmark.index, index])
    place, weather, things, reflections, lens = map(
        np.random.default_rng, seeds.spawn(5)
    )
    camera, yaw = plan_camera(
        place, landmark.width, landmark.height, size, settings
    )
    light = draw_light(weather, settings)
    painter = Painter(camera.enlarged(_SUPERSAMPLING), light, reflections)
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
    """Computes the view of a photo from its camera and occlusion."""
    homography = camera.plane_homography(
        np.zeros(3), FRONT.across, FRONT.upwards
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
    """Returns which cells (GRID, GRID) have their centre on the facade."""
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
    """Returns which points are in the frame and not occluded."""
    depth = points @ homography[2, :2] + homography[2, 2]
    pixels = apply_homography(homography, points)
    limits = np.array([camera.width, camera.height])
    inside = ((pixels >= 0) & (pixels < limits)).all(axis=1) & (depth > 0)
    x, y = (np.where(inside[:, None], pixels, 0) * _SUPERSAMPLING).astype(int).T
    return inside & (occlusion[y, x] < 0.5)


def _box(
    homography: np.ndarray,
    centres: np.ndarray,
    cell: np.ndarray,
    camera: Camera,
) -> tuple[float, float, float, float]:
    """Returns the bounds of cells in pixels, clipped to the frame."""
    signs = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)])
    corners = (centres[:, None] + signs * cell).reshape(-1, 2)
    pixels = apply_homography(homography, corners)
    pixels = np.clip(pixels, 0, (camera.width, camera.height))
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _scale(homography: np.ndarray, point: np.ndarray) -> float:
    """Returns the square root of the area in pixels of a square metre."""
    square = point + 0.5 * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    x, y = apply_homography(homography, square).T
    twice_area = np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))
    return float(np.sqrt(abs(twice_area) / 2))


def landmark_mask(
    view: View, landmark: Landmark, width: int, height: int
) -> np.ndarray:
    """Returns which pixels of a photo show the facade of its landmark.

    Args:
        view: geometry of the photo.
        landmark: its landmark, the result of `make_landmark`.
        width, height: size of the photo in pixels.

    Returns:
        (height, width) bool, exact to a cell of the facade: a GRID-th of its
        width and height.
    """
    cell = np.array([landmark.width, landmark.height]) / GRID
    # From columns and rows of `visible` to metres, and to indices of pixels.
    metres = np.array(
        [[cell[0], 0, cell[0] / 2], [0, cell[1], cell[1] / 2], [0, 0, 1]]
    )
    indices = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])
    mask = cv2.warpPerspective(
        view.visible.astype(np.uint8),
        indices @ view.homography @ metres,
        (width, height),
        flags=cv2.INTER_NEAREST,
    )
    return mask.astype(bool)


@dataclass(frozen=True)
class RelationSettings:
    """Thresholds between the relations.

    Attributes:
        least_overlap: least share of the query's visible facade that an easy or
            hard photo shows.
        least_visible: least share of its own facade that such a photo shows.
        easy_effort: largest `effort` of an easy photo.
    """

    least_overlap: float = 0.4
    least_visible: float = 0.2
    easy_effort: float = 1.1


_DEFAULT_RELATION_SETTINGS = RelationSettings()


def overlap(query: View, other: View) -> float:
    """Returns the share of the query's visible facade seen by the other."""
    seen = query.visible.sum()
    if not seen:
        return 0.0
    return float((query.visible & other.visible).sum() / seen)


def effort(query: View, other: View) -> float:
    """Returns how hard it is to recognise the query in the other view.

    It is the sum of the differences in yaw (1 for 70 degrees), scale (1 for a
    factor of 4) and light (1 for day and night), and of half the share of the
    query's facade that is missing: 0 for the same view, infinite if either
    shows nothing of the facade.
    """
    if not (query.visible.any() and other.visible.any()):
        return float("inf")
    turned = abs(query.yaw - other.yaw) / 70
    resized = abs(np.log(query.scale / other.scale)) / np.log(4)
    relit = abs(DARKNESS[query.light] - DARKNESS[other.light])
    missing = 1 - overlap(query, other)
    return float(turned + resized + relit + 0.5 * missing)


def relation(
    query: View,
    other: View,
    settings: RelationSettings = _DEFAULT_RELATION_SETTINGS,
) -> str:
    """Returns the relation of a view to a query: "easy", "hard" or "junk".

    Args:
        query: view of the query.
        other: view of the same landmark, in a photo of the same size.
        settings: thresholds between the relations.

    Raises:
        ValueError: the views are of different landmarks.
    """
    if query.landmark != other.landmark:
        raise ValueError(
            "`query` and `other` must show the same landmark. Received: "
            f"query.landmark={query.landmark}, other.landmark={other.landmark}"
        )
    if (
        other.visible_fraction < settings.least_visible
        or overlap(query, other) < settings.least_overlap
    ):
        return "junk"
    return "easy" if effort(query, other) <= settings.easy_effort else "hard"

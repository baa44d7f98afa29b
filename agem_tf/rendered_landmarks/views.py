"""Decides where a photograph is taken from."""

import numpy as np

from agem_tf.rendered_landmarks.camera import Camera, look_at
from agem_tf.rendered_landmarks.settings import SceneSettings

ASPECT = 4 / 3
STEEPEST_ASCENT = 1.1
STEEPEST_DESCENT = 0.35
"""Rise over distance of the direction to the target."""


def plan_camera(
    rng: np.random.Generator,
    width: float,
    height: float,
    size: int,
    settings: SceneSettings,
) -> tuple[Camera, float]:
    """Places a camera before a facade.

    Args:
      rng: of the view.
      width, height: of the facade in metres.
      size: longer side of the photograph in pixels.
      settings: the ranges to draw from.

    Returns:
      The camera and its yaw: the angle in degrees between the facade's normal
      and the direction to the camera, positive to the right.
    """
    columns, rows = _frame(rng, width, height, size, settings)
    framing, view_angle, aim = _framing(rng, settings)
    focal_length = size / (2 * np.tan(np.radians(view_angle) / 2))
    yaw = _yaw(rng, settings)
    fitting = _fitting_scale(width, height, yaw, columns, rows)
    distance = focal_length / (fitting * framing)
    target = np.array([width * aim[0], height * aim[1], 0.0])
    eye = _eye_height(rng, settings)
    limit = settings.nearest_camera / np.cos(np.radians(yaw))
    eye = min(eye, target[1] + STEEPEST_DESCENT * distance)
    eye = max(eye, settings.eye_height[0])
    distance = max(distance, limit, (target[1] - eye) / STEEPEST_ASCENT)
    position = np.array(
        [
            target[0] + distance * np.sin(np.radians(yaw)),
            eye,
            distance * np.cos(np.radians(yaw)),
        ]
    )
    slack = settings.off_centre * min(framing, 1.0)
    target[0] += slack * width * rng.uniform(-1, 1)
    target[1] += slack * height * rng.uniform(-0.7, 0.7)
    roll = rng.normal(0, settings.roll_deviation)
    rotation = look_at(position, target, roll)
    return Camera(position, rotation, focal_length, columns, rows), float(yaw)


def _frame(
    rng, width: float, height: float, size: int, settings: SceneSettings
) -> tuple[int, int]:
    """Columns and rows; tall facades are held upright more often."""
    share = settings.portrait_share + 0.35 * np.clip(height / width - 1, -1, 1)
    shorter = round(size / ASPECT)
    return (shorter, size) if rng.random() < share else (size, shorter)


def _framing(
    rng, settings: SceneSettings
) -> tuple[float, float, tuple[float, float]]:
    """How large the facade is, the view angle in degrees, and the aim."""
    kinds = ("whole", "far", "glimpse", "detail")
    shares = [getattr(settings, f"{kind}_share") for kind in kinds[:-1]]
    kind = kinds[int(np.searchsorted(np.cumsum(shares), rng.random()))]
    framing = rng.uniform(*getattr(settings, f"{kind}_framing"))
    if kind in ("whole", "far"):
        angle = rng.uniform(*settings.field_of_view)
        return framing, angle, (rng.uniform(0.4, 0.6), rng.uniform(0.4, 0.55))
    angle = rng.uniform(*settings.detail_field_of_view)
    return framing, angle, (rng.uniform(0.15, 0.85), rng.uniform(0.2, 0.8))


def _fitting_scale(
    width: float, height: float, yaw: float, columns: int, rows: int
) -> float:
    """Pixels per metre at which the turned facade just fills the frame."""
    turned = width * np.cos(np.radians(yaw))
    return min(columns / max(turned, 0.4 * width), rows / height)


def _yaw(rng, settings: SceneSettings) -> float:
    if rng.random() < settings.frontal_share:
        return rng.normal(0, 9)
    return settings.yaw_limit * rng.uniform(-1, 1)


def _eye_height(rng, settings: SceneSettings) -> float:
    if rng.random() < settings.elevated_share:
        return rng.uniform(*settings.elevated_height)
    return rng.uniform(*settings.eye_height)

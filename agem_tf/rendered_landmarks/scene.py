"""Paints a landmark with neighbouring houses, clutter, sky and ground."""

import numpy as np

from agem_tf.rendered_landmarks.building import (
    NEIGHBOURS,
    Building,
    Landmark,
    make_neighbour,
    paint_building,
    paint_front,
)
from agem_tf.rendered_landmarks.painter import Painter, clip_near
from agem_tf.rendered_landmarks.scene_settings import SceneSettings
from agem_tf.rendered_landmarks.shading import LAMP
from agem_tf.rendered_landmarks.sky_and_ground import paint_ground, sky_image
from agem_tf.rendered_landmarks.sprites import VARIANTS, Sprite, make_sprite

# Least depth in metres of a sprite.
_NEAREST_SPRITE = 2.0

# Position of the houses behind the street, z in metres.
_SECOND_ROW = -45.0


def paint_scene(
    painter: Painter,
    landmark: Landmark,
    rng: np.random.Generator,
    settings: SceneSettings,
) -> None:
    """Paints a landmark and its surroundings.

    Afterwards, `painter.light_field` is the light that reaches the camera, and
    `painter.occlusion` the share of it that comes from objects in front of the
    landmark.

    Args:
        painter: painter of the photo, with an empty frame.
        landmark: the landmark.
        rng: random generator of the surroundings.
        settings: amount of clutter.
    """
    camera, light = painter.camera, painter.light
    painter.light_field[:] = sky_image(camera, light, rng)
    paint_ground(painter.light_field, camera, light, rng)
    for x in rng.uniform(-50, 50 + landmark.width, 3):
        neighbour = make_neighbour(int(rng.integers(NEIGHBOURS)))
        paint_front(painter, neighbour, x, _SECOND_ROW, False)
    _paint_row(painter, landmark, rng)
    for x, z, sprite in _street_furniture(painter, landmark, rng, settings):
        _paint_sprite(painter, sprite, np.array([x, 0.0, z]))
    if rng.random() < settings.foreground_share:
        _paint_foreground(painter, rng)


def _paint_row(
    painter: Painter, landmark: Landmark, rng: np.random.Generator
) -> None:
    """Paints the landmark and two houses on either side, nearest last."""
    houses = [(0.0, 0.0, landmark.building)]
    for side in (-1, 1):
        edge = 0.0 if side < 0 else landmark.width
        for _ in range(2):
            gap = rng.exponential(6.0) + (0.5 if rng.random() < 0.5 else 2.0)
            building = make_neighbour(int(rng.integers(NEIGHBOURS)))
            width = building.design.width
            edge += side * gap
            left = edge if side > 0 else edge - width
            houses.append((left, -rng.uniform(0, 6), building))
            edge += side * width
    camera_x = painter.camera.position[0]

    def distance(house: tuple[float, float, Building]) -> float:
        left, _, building = house
        right = left + building.design.width
        return max(left - camera_x, camera_x - right, 0.0)

    for left, z, building in sorted(houses, key=distance, reverse=True):
        paint_building(painter, building, left, z, True)
        if building is landmark.building:
            painter.start_occlusion()


def _street_furniture(
    painter: Painter,
    landmark: Landmark,
    rng: np.random.Generator,
    settings: SceneSettings,
) -> list[tuple[float, float, Sprite]]:
    """Samples x, z and sprites, the farthest from the camera first."""
    means = {
        "tree": settings.mean_trees,
        "person": settings.mean_people,
        "vehicle": settings.mean_vehicles,
        "post": settings.mean_posts,
    }
    placed = []
    eye = painter.camera.position
    for kind, mean in means.items():
        for _ in range(rng.poisson(mean)):
            share = rng.uniform(0.06, 0.8)
            z = max(eye[2] * share, 2.0)
            spread = landmark.width * rng.uniform(-0.7, 1.7)
            x = spread + (eye[0] - landmark.width / 2) * share
            sprite = make_sprite(kind, int(rng.integers(VARIANTS[kind])))
            if eye[2] - z > 2.5:
                placed.append((x, z, sprite))
    return sorted(
        placed, key=lambda item: -np.hypot(item[0] - eye[0], item[1] - eye[2])
    )


def _paint_sprite(painter: Painter, sprite: Sprite, foot: np.ndarray) -> None:
    """Paints a card that faces the camera, with a shadow at its foot."""
    camera = painter.camera
    depth = float(camera.depths(foot[None])[0])
    if depth < _NEAREST_SPRITE:
        return
    sprite = sprite.with_rows(camera.focal_length * sprite.height / depth)
    towards = camera.position - foot
    towards[1] = 0
    towards /= np.linalg.norm(towards)
    across = np.array([towards[2], 0, -towards[0]])
    upwards = np.array([0, 1.0, 0])
    _paint_contact_shadow(painter, sprite, foot, across, towards)
    origin = foot - across * sprite.width / 2
    texture = _lit_sprite(painter, sprite, towards)
    _paint_card(
        painter, texture, origin, across * sprite.width, upwards * sprite.height
    )


def _paint_card(
    painter: Painter,
    texture: np.ndarray,
    origin: np.ndarray,
    across: np.ndarray,
    upwards: np.ndarray,
) -> None:
    """Paints a texture on a parallelogram, given by two edges in metres."""
    polygon = np.array(
        [origin, origin + across, origin + across + upwards, origin + upwards]
    )
    polygon = clip_near(painter.camera, polygon)
    if len(polygon) < 3:
        return
    depth = float(painter.camera.depths(polygon).mean())
    rows, columns = texture.shape[:2]
    to_unit = np.array([[1 / columns, 0, 0], [0, -1 / rows, 1], [0, 0, 1]])
    homography = painter.camera.plane_homography(origin, across, upwards)
    painter.paint_texture(texture, homography @ to_unit, polygon, depth)


def _lit_sprite(
    painter: Painter, sprite: Sprite, towards: np.ndarray
) -> np.ndarray:
    """Returns the texture of a sprite that faces `towards`, lit."""
    light = painter.light
    facing = 0.35 + 0.65 * max(float(light.direction @ towards), 0.0)
    incoming = (
        np.array(light.condition.ambient)
        + facing * np.array(light.condition.sun)
        + 0.25 * light.floodlight
    )
    texture = sprite.texture * np.append(incoming, 1).astype(np.float32)
    if sprite.glow is not None and light.condition.lamps > 0.1:
        texture[..., :3] += sprite.glow[..., None] * LAMP * 2
    return texture


def _paint_contact_shadow(
    painter: Painter,
    sprite: Sprite,
    foot: np.ndarray,
    across: np.ndarray,
    towards: np.ndarray,
) -> None:
    """Paints a soft elliptic shadow on the ground under a sprite."""
    grid = np.linspace(-1, 1, 24, dtype=np.float32)
    soft = np.clip(1.1 - np.hypot(grid[:, None], grid[None]), 0, 0.6)
    shadow = np.zeros((24, 24, 4), np.float32)
    shadow[..., 3] = soft
    wide, deep = 1.15 * sprite.width, min(0.7 * sprite.width, 2.2)
    origin = foot - across * wide / 2 + towards * deep / 2
    _paint_card(painter, shadow, origin, across * wide, -towards * deep)


def _paint_foreground(painter: Painter, rng: np.random.Generator) -> None:
    """Paints a branch in an upper corner, close to the camera."""
    sprite = make_sprite("foliage", int(rng.integers(VARIANTS["foliage"])))
    texture = sprite.texture.copy()
    light = painter.light.condition
    shaded = np.array(light.ambient) * 0.8 + 0.15 * np.array(light.sun)
    texture[..., :3] *= shaded.astype(np.float32)
    if rng.random() < 0.5:
        texture = np.ascontiguousarray(texture[:, ::-1])
        corner = 1.0
    else:
        corner = 0.0
    camera = painter.camera
    wide = camera.width * rng.uniform(0.35, 0.8)
    scale = wide / texture.shape[1]
    left = corner * (camera.width - wide)
    top = -rng.uniform(0, 0.35) * scale * texture.shape[0]
    homography = np.array([[scale, 0, left], [0, scale, top], [0, 0, 1.0]])
    # The branch fills a plane 3 m in front of the camera.
    corners = np.array([(0, 0), (1, 0), (1, 1), (0, 1)], float)
    size = np.array([camera.width, camera.height])
    sideways = (corners * size - size / 2) / camera.focal_length
    polygon = camera.position + 3 * (
        sideways @ camera.rotation[:2] + camera.rotation[2]
    )
    painter.paint_texture(texture, homography, polygon, 3.0)

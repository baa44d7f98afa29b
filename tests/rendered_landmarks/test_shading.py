"""Shading of walls."""

import dataclasses

import numpy as np
import pytest

from agem_tf.rendered_landmarks.building import FRONT
from agem_tf.rendered_landmarks.light import CONDITIONS, Light
from agem_tf.rendered_landmarks.shading import lit_texture
from agem_tf.rendered_landmarks.wall_surface import (
    WALL,
    Surface,
    WallDrawing,
    finish,
)


def _light(name: str, direction) -> Light:
    direction = np.array(direction, float)
    return Light(
        name=name,
        condition=CONDITIONS[name],
        direction=direction / np.linalg.norm(direction),
        cloudiness=0.2,
        haze=0.0,
        floodlight=np.zeros(3),
        lit_windows=0.0,
        cast_shadow=False,
    )


def _wall(ledge: float = 0.0) -> Surface:
    """Returns a wall of 8 by 6 metres, optionally with a ledge."""
    drawing = WallDrawing(0, 8, 6, 20, np.random.default_rng(0))
    drawing.rectangle(0, 0, 8, 6, (180, 170, 160), 0, WALL)
    if ledge:
        drawing.rectangle(0, 3, 8, 0.4, (180, 170, 160), ledge, WALL)
    return finish(drawing, "plaster", 0.0)


def _brightness(surface: Surface, light: Light) -> np.ndarray:
    return lit_texture(surface, FRONT, light, np.random.default_rng(2))[..., 1]


def test_a_ledge_shades_the_wall_below_it():
    sun = _light("noon", (0.1, 1.0, 1.0))
    plain, ledged = (_brightness(_wall(d), sun) for d in (0.0, 0.8))
    below, above = slice(62, 72), slice(20, 40)
    assert ledged[below].mean() < 0.6 * plain[below].mean()
    assert ledged[above].mean() == pytest.approx(plain[above].mean(), rel=0.1)


def test_a_wall_is_brighter_in_the_sun_than_with_the_sun_behind_it():
    towards, behind = _light("noon", (0, 1, 2)), _light("noon", (0, 1, -2))
    lit, shaded = _brightness(_wall(), towards), _brightness(_wall(), behind)
    assert lit.mean() > 2 * shaded.mean()


def test_lit_windows_shine_at_night():
    drawing = WallDrawing(0, 8, 6, 20, np.random.default_rng(0))
    drawing.rectangle(0, 0, 8, 6, (180, 170, 160), 0, WALL)
    drawing.rectangle(3, 2, 2, 2, (50, 50, 50), -0.3, 3, 7)
    surface = finish(drawing, "plaster", 0.0)
    dark = _light("night", (0, 1, 1))
    lamps = dataclasses.replace(dark, lit_windows=1.0)
    pane, wall = (slice(50, 70), slice(70, 90)), (slice(5, 20), slice(5, 40))
    shining = _brightness(surface, lamps)[pane].mean()
    assert shining > 5 * _brightness(surface, dark)[pane].mean()
    assert _brightness(surface, lamps)[wall].mean() == pytest.approx(
        _brightness(surface, dark)[wall].mean()
    )

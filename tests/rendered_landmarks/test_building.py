"""Designs of buildings, their drawn fronts, and landmarks."""

from collections import Counter

import numpy as np
import pytest

from agem_tf.rendered_landmarks import make_landmark
from agem_tf.rendered_landmarks.building_design import (
    CROWN_HEIGHTS,
    design_building,
)
from agem_tf.rendered_landmarks.building_styles import STYLES
from agem_tf.rendered_landmarks.crowns import CROWNS
from agem_tf.rendered_landmarks.facade import front_surface
from agem_tf.rendered_landmarks.wall_surface import RELIEF_ZERO


def _designs(count: int):
    return [
        design_building(np.random.default_rng([9, i])) for i in range(count)
    ]


def test_landmarks_of_a_style_differ():
    designs = _designs(120)
    assert len(set(designs)) == len(designs)
    families = Counter(design.style.name for design in designs)
    assert len(families) == len(STYLES)
    assert min(families.values()) >= 2


def test_buildings_have_realistic_sizes():
    for design in _designs(60):
        assert 5 < design.width < 50
        assert 6 < design.top < 70
        assert 2 < design.bay_width < 6


def test_every_crown_of_a_style_can_be_drawn():
    named = {crown for style in STYLES for crown in style.crowns}
    assert named == set(CROWNS) == set(CROWN_HEIGHTS)


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.name)
def test_a_front_of_each_style_has_glass_relief_and_a_silhouette(style):
    design = next(d for d in _designs(200) if d.style is style)
    surface = front_surface(design, np.random.default_rng(0), 128)
    assert 0.03 < (surface.panes > 0).mean() < 0.9
    assert surface.relief.min() < RELIEF_ZERO < surface.relief.max()
    assert (surface.coverage > 0).mean() > 0.4
    assert surface.albedo[surface.coverage > 0].std() > 15


def test_landmarks_are_cached_and_negative_numbers_refused():
    assert make_landmark(0, 1) is make_landmark(0, 1)
    with pytest.raises(ValueError, match="Received: index=-1"):
        make_landmark(0, -1)

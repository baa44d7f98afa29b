"""Trees, people, vehicles and posts: what stands between camera and landmark.

Each is drawn once, already modelled by light from above, and put up as a card
that faces the camera.
"""

from functools import cache

import numpy as np

from agem_tf.rendered_landmarks import plants, streets
from agem_tf.rendered_landmarks.cards import Sprite

SPRITE_STREAM = 1 << 21
VARIANTS = {"tree": 10, "person": 12, "vehicle": 8, "post": 4, "foliage": 4}


@cache
def make_sprite(kind: str, number: int) -> Sprite:
    """Returns one of the variants of a kind in `VARIANTS`."""
    kinds = list(VARIANTS)
    rng = np.random.default_rng([SPRITE_STREAM, kinds.index(kind), number])
    return _PAINTERS[kind](rng)


_PAINTERS = {
    "tree": plants.tree,
    "person": streets.person,
    "vehicle": streets.vehicle,
    "post": streets.post,
    "foliage": plants.foliage,
}

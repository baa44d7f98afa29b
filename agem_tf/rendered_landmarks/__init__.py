"""Renderer of photos of invented landmarks, each determined by its seed.

A dataset that needs no download: buildings under varying viewpoint, light and
occlusion, with the exact geometry from which the boxes of queries and the
easy, hard and junk labels are computed. Needs only NumPy and OpenCV, and
nothing else of this package.

From a seed to a photo:

1. `building_styles` and `building_design` sample the design of a building.
2. `facade` draws its walls, with `openings`, `ornaments`, `gables` and
   `crowns`, as colour, relief and material; `wall_surface` adds texture and
   dirt (`noise`). `building` has the walls of landmarks and neighbours.
3. `camera` and `light` sample viewpoint and light, within `scene_settings`.
4. `scene` paints `sky_and_ground`, buildings and `sprites` from far to near;
   `painter` projects textures, `shading` lights walls.
5. `photometry` develops the light into a picture. `photo` does all this,
   records what is visible and relates views; `album` uses all cores.

Example:

```python
landmark = make_landmark(seed=0, index=3)
query, other = render(landmark, 0), render(landmark, 1)
query.image.shape  # (192, 256, 3) or (256, 192, 3), uint8 RGB
query.view.box  # (x1, y1, x2, y2) in pixels
relation(query.view, other.view)  # "easy", "hard" or "junk"
```
"""

from agem_tf.rendered_landmarks.building import Landmark, make_landmark
from agem_tf.rendered_landmarks.photo import (
    GRID,
    Photo,
    RelationSettings,
    View,
    effort,
    landmark_mask,
    overlap,
    relation,
    render,
)
from agem_tf.rendered_landmarks.scene_settings import SceneSettings

__all__ = [
    "GRID",
    "Landmark",
    "Photo",
    "RelationSettings",
    "SceneSettings",
    "View",
    "effort",
    "landmark_mask",
    "make_landmark",
    "overlap",
    "relation",
    "render",
]

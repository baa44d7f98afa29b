"""Renderer of photos of invented landmarks, each determined by its seed.

A dataset that needs no download: buildings under varying viewpoint, light and
occlusion, with the exact geometry from which the boxes of queries and the
easy, hard and junk labels are computed. Needs only NumPy and OpenCV, and
nothing else of this package.

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
    "make_landmark",
    "overlap",
    "relation",
    "render",
]

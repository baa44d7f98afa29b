"""Photographs of invented landmarks, made on the spot from a seed.

They give the package a dataset that needs no download: buildings seen from
different places, in different light, partly hidden, with the exact geometry
from which queries' boxes and easy, hard and junk relations follow. NumPy and
OpenCV only.

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
from agem_tf.rendered_landmarks.photo import GRID, Photo, View, render
from agem_tf.rendered_landmarks.relation import (
    RelationSettings,
    effort,
    overlap,
    relation,
)
from agem_tf.rendered_landmarks.settings import SceneSettings

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

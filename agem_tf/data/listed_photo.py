"""A photo that a source names, and what becomes of it in a record."""

from typing import Any, NamedTuple

import numpy as np

from agem_tf.data import photos

# The label of a photo whose landmark nobody knows.
UNKNOWN = -1

Example = dict[str, Any]


class ListedPhoto(NamedTuple):
    """One photo; a tuple of plain values, so that JSON carries it elsewhere.

    Attributes:
        path: of the file.
        name: unique in its split.
        landmark: its name, or empty.
        label: an integer, equal for equal landmarks; `UNKNOWN` for none.
        box: x1, y1, x2, y2 in pixels, cut out when the photo is a query; None
            for the whole photo.
    """

    path: str
    name: str
    landmark: str = ""
    label: int = UNKNOWN
    box: tuple[float, float, float, float] | None = None

    def example(self, photo: photos.EncodedPhoto) -> Example:
        """Returns the record's features, with the photo read from `path`."""
        return {
            "image": photo.encoded,
            "name": self.name,
            "landmark": self.landmark,
            "label": self.label,
            "box": np.asarray(self.box or (0, 0, 0, 0), np.float32),
        }

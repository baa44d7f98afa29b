"""Says from the known geometry how one photograph relates to another.

The three words are those of the revisited Oxford and Paris benchmarks: an
"easy" photograph clearly shows what the query shows, a "hard" one shows it
under a strong change, and a "junk" one so little of it that a system should
be neither blamed nor praised for it.
"""

from dataclasses import dataclass

import numpy as np

from agem_tf.rendered_landmarks.light import DARKNESS
from agem_tf.rendered_landmarks.photo import View


@dataclass(frozen=True)
class RelationSettings:
    """Where the borders between the relations lie.

    Attributes:
      least_overlap: share of the query's visible facade that must be seen.
      least_visible: share of its facade that a photograph must show.
      easy_effort: largest effort, see `effort`, of an easy photograph.
    """

    least_overlap: float = 0.4
    least_visible: float = 0.2
    easy_effort: float = 1.1


DEFAULT_RELATION_SETTINGS = RelationSettings()


def overlap(query: View, other: View) -> float:
    """Share of the query's visible facade that the other also shows."""
    seen = query.visible.sum()
    if not seen:
        return 0.0
    return float((query.visible & other.visible).sum() / seen)


def effort(query: View, other: View) -> float:
    """How hard it is to recognise the query in the other; 0 is the same view.

    The sum of the differences in yaw (1 for 70 degrees), in scale (1 for a
    factor of 4), in light (1 for day against night) and of the half of the
    query's facade that is missing. Infinite when either shows nothing.
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
    settings: RelationSettings = DEFAULT_RELATION_SETTINGS,
) -> str:
    """Returns "easy", "hard" or "junk".

    Args:
      query: a view of a landmark.
      other: another view of the same landmark, of the same image size.
      settings: where the borders lie.

    Raises:
      ValueError: when the views are of different landmarks.
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

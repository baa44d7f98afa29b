"""The UKBench score: how many of an object's four photos lead the ranking."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agem_tf.errors import UserError

_PHOTOS_PER_OBJECT = 4


@dataclass(frozen=True, eq=False)
class UKBenchScores:
    """The benchmark's own score.

    Attributes:
        mean_true_in_top_4: from 0 to 4; the query finds itself, so that a
            ranking by any descriptor reaches 1.
        true_in_top_4: (photos,) int64 for each query.
    """

    mean_true_in_top_4: float
    true_in_top_4: np.ndarray


def evaluate_ukbench(
    ranks: np.ndarray, objects: Sequence[object]
) -> UKBenchScores:
    """Scores rankings as Nister and Stewenius ("Scalable recognition with a
    vocabulary tree", CVPR 2006).

    Every photo is a query, in the order of the database, and stays in it.

    Args:
        ranks: (photos, photos or fewer) database indices, best first; fewer
            than four count as if the rest were wrong.
        objects: (photos,) what each photo shows, as `ukbench_objects` gives.

    Raises:
        UserError: there is not one ranking for each photo.
    """
    objects = np.asarray(objects)
    if ranks.ndim != 2 or len(ranks) != len(objects):
        raise UserError(
            f"UKBench needs one ranking for each of {len(objects)} photos. "
            f"Received: shape {ranks.shape}"
        )
    first = ranks[:, :_PHOTOS_PER_OBJECT]
    true = (objects[first] == objects[:, np.newaxis]).sum(axis=1)
    return UKBenchScores(float(true.mean()), true)

"""The UKBench score: how many of an object's four photos lead the ranking."""

from dataclasses import dataclass

import numpy as np

from agem_tf.evaluation.ground_truth import GroundTruth
from agem_tf.evaluation.places import Places
from agem_tf.evaluation.ranked_scores import positions_found

_PHOTOS_PER_OBJECT = 4


@dataclass(frozen=True, eq=False)
class UKBenchScores:
    """The benchmark's own score.

    Attributes:
        mean_true_in_top_4: from 0 to 4; the query finds itself, so that a
            ranking by any descriptor reaches 1.
        true_in_top_4: (queries,) int64.
    """

    mean_true_in_top_4: float
    true_in_top_4: np.ndarray


def evaluate_ukbench(
    ranks: np.ndarray | Places, ground_truth: GroundTruth
) -> UKBenchScores:
    """Scores rankings as Nister and Stewenius ("Scalable recognition with a
    vocabulary tree", CVPR 2006).

    Args:
        ranks: (queries, photos or fewer) database indices, best first, or the
            places of the labelled photos; fewer than four count as if the
            rest were wrong.
        ground_truth: as `ukbench_ground_truth` makes it.

    Raises:
        UserError: `ranks` does not fit the ground truth.
    """
    true = np.array(
        [
            np.count_nonzero(positions < _PHOTOS_PER_OBJECT)
            for positions, _ in positions_found(ranks, ground_truth)
        ],
        np.int64,
    )
    mean = float(true.mean()) if true.size else float("nan")
    return UKBenchScores(mean, true)

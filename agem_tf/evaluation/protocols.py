"""The Oxford and Paris protocols, revisited and old.

The old one also scores INRIA Holidays and INSTRE, whose ground truths
`benchmarks` makes, and every ground truth of one difficulty.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agem_tf.evaluation.ground_truth import GroundTruth
from agem_tf.evaluation.places import Places
from agem_tf.evaluation.ranked_scores import CUTOFFS, Scores, score_rankings

# Difficulty -> which sets of a query are positive, and which are junk.
_DIFFICULTIES = {
    "easy": (("easy",), ("junk", "hard")),
    "medium": (("easy", "hard"), ("junk",)),
    "hard": (("hard",), ("junk", "easy")),
}


@dataclass(frozen=True)
class RevisitedScores:
    """Scores of the revisited Oxford and Paris protocol.

    Attributes:
        easy: easy photos are positive, hard ones junk.
        medium: easy and hard photos are positive.
        hard: hard photos are positive, easy ones junk.
    """

    easy: Scores
    medium: Scores
    hard: Scores


def evaluate_revisited(
    ranks: np.ndarray | Places,
    ground_truth: GroundTruth,
    cutoffs: Sequence[int] = CUTOFFS,
) -> RevisitedScores:
    """Scores rankings as Radenovic et al. (https://arxiv.org/abs/1803.11285).

    Junk photos are taken out of a ranking before positions are counted.

    Args:
        ranks: (queries, photos or fewer) database indices, best first, or the
            places of the labelled photos. In a truncated ranking, positives
            that were cut off count as not found; distractors are any indices
            behind those of the ground truth.
        ground_truth: of the same queries and database.
        cutoffs: of the precision, counted from 1.

    Raises:
        UserError: `ranks` does not fit the ground truth.
    """
    return RevisitedScores(
        **{
            name: score_rankings(ranks, ground_truth, positive, junk, cutoffs)
            for name, (positive, junk) in _DIFFICULTIES.items()
        }
    )


def evaluate_ok_junk(
    ranks: np.ndarray | Places,
    ground_truth: GroundTruth,
    cutoffs: Sequence[int] = CUTOFFS,
) -> Scores:
    """Scores rankings as the old Oxford and Paris protocol.

    See Philbin et al., "Object retrieval with large vocabularies and fast
    spatial matching", CVPR 2007. Easy and hard photos are positive alike, junk
    is taken out. A query's own photo is in that database and listed as a
    positive, so that every query finds at least it; scores are therefore
    higher than the revisited ones.

    Args:
        ranks: (queries, photos or fewer) database indices, best first, or the
            places of the labelled photos. In a truncated ranking, positives
            that were cut off count as not found; distractors are any indices
            behind those of the ground truth.
        ground_truth: of the same queries and database.
        cutoffs: of the precision, counted from 1; the papers give none.

    Raises:
        UserError: `ranks` does not fit the ground truth.
    """
    return score_rankings(
        ranks, ground_truth, ("easy", "hard"), ("junk",), cutoffs
    )

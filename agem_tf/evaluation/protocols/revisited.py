"""Revisited Oxford and Paris: Easy, Medium and Hard.

See Radenovic et al. (https://arxiv.org/abs/1803.11285).
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from agem_tf.evaluation.ground_truth import GroundTruth
from agem_tf.evaluation.places import Found, Places
from agem_tf.evaluation.protocols.oxford import BLURRED_FACES
from agem_tf.evaluation.protocols.protocol import (
    WHOLE,
    Part,
    Protocol,
    ProtocolScores,
    PublishedScores,
)
from agem_tf.evaluation.protocols.ranked_scores import (
    CUTOFFS,
    RankedScores,
    score_rankings,
)

# Difficulty -> which sets of a query are positive, and which are junk.
_DIFFICULTIES = {
    "easy": (("easy",), ("junk", "hard")),
    "medium": (("easy", "hard"), ("junk",)),
    "hard": (("hard",), ("junk", "easy")),
}


@dataclasses.dataclass(frozen=True)
class RevisitedScores(ProtocolScores):
    """Scores of the revisited Oxford and Paris protocol.

    Attributes:
        easy: easy photos are positive, hard ones junk.
        medium: easy and hard photos are positive.
        hard: hard photos are positive, easy ones junk.
    """

    easy: RankedScores
    medium: RankedScores
    hard: RankedScores

    def parts(self) -> dict[str, Part]:
        return {
            name: getattr(self, name).parts()[WHOLE] for name in _DIFFICULTIES
        }

    def shown_parts(self) -> dict[str, Part]:
        """Returns all parts, or one where no query has hard photos.

        Easy and Medium are then equal, and Hard is undefined.
        """
        if np.isnan(self.hard.mean_average_precision):
            return self.medium.parts()
        return self.parts()

    def main_part(self) -> str:
        return "medium" if "medium" in self.shown_parts() else WHOLE


def evaluate_revisited(
    ranks: np.ndarray | Places,
    ground_truth: GroundTruth,
    cutoffs: Sequence[int] = CUTOFFS,
) -> RevisitedScores:
    """Scores rankings at three difficulties.

    Junk photos are removed from a ranking before positions are counted.

    Args:
        ranks: (queries, photos or fewer) database indices, best first, or the
            places of the labelled photos. In a truncated ranking, positives
            that were cut off count as not found; indices beyond those of the
            ground truth are distractors.
        ground_truth: ground truth of the same queries and database.
        cutoffs: ranks, counted from 1, at which precision is measured.

    Raises:
        UserError: `ranks` does not fit the ground truth.
    """
    return RevisitedScores(
        **{
            name: score_rankings(ranks, ground_truth, positive, junk, cutoffs)
            for name, (positive, junk) in _DIFFICULTIES.items()
        }
    )


# mAP in percent: ROxford Medium and Hard, RParis Medium and Hard.
_REPORTED = {
    "AGeM, ResNet-101 (arXiv 1811.00202)": (67.0, 40.7, 78.1, 57.3),
    "GeM, ResNet-101 (arXiv 1711.02512)": (64.7, 38.5, 77.2, 56.3),
    "R-MAC, ResNet-101, DIR (arXiv 1610.07940)": (60.9, 32.4, 78.9, 59.4),
    "MAC, ResNet-101 off the shelf": (41.7, 18.0, 66.2, 44.1),
    "SPoC, ResNet-101 off the shelf": (39.8, 12.4, 69.2, 44.7),
    "CroW, ResNet-101 off the shelf": (42.4, 13.3, 70.4, 47.2),
    "DELF-ASMK* + SP": (67.8, 43.1, 76.9, 55.4),
    "HesAff-rSIFT-ASMK* + SP": (60.6, 36.7, 61.4, 35.0),
    "DELG, ResNet-101 + RANSAC (arXiv 2001.05027)": (81.2, 64.0, 87.2, 72.8),
    "SuperGlobal, ResNet-101, re-ranked (arXiv 2308.06954)": (
        *(90.9, 80.2, 93.3, 86.7),
    ),
    "DINOv2 ViT-L, frozen": (None, 54.0, None, None),
    "DINOv2 ViT-g, frozen": (None, 52.3, None, None),
}
_MULTI_SCALE = (
    "GeM uses three scales with learned whitening, which together gain about "
    "12 points (ROxford, Medium) over one scale without whitening."
)


def _published(
    dataset: str, columns: slice, shared_queries: int
) -> PublishedScores:
    shared_landmarks = (
        "DELG and SuperGlobal are trained on Google Landmarks v2 clean, which "
        f"shares landmarks with {shared_queries} of the 70 queries."
    )
    return PublishedScores(
        dataset,
        {
            method: dict(zip(("medium", "hard"), values[columns], strict=True))
            for method, values in _REPORTED.items()
        },
        (_MULTI_SCALE, shared_landmarks, BLURRED_FACES),
    )


class RevisitedProtocol(Protocol):
    """Easy, Medium and Hard.

    Published scores with the million distractors are not included.
    """

    name = "revisited"
    published = {
        (70, 4993, 0): _published("ROxford", slice(0, 2), 38),
        (70, 6322, 0): _published("RParis", slice(2, 4), 36),
    }

    def score(self, found: Found, truth: GroundTruth) -> RevisitedScores:
        return evaluate_revisited(found.places, truth)

    def fits(self, truth: GroundTruth) -> bool:
        return any(query.hard.size for query in truth.queries)

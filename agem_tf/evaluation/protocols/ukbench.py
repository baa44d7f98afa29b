"""UKBench: how many of an object's four photos lead the ranking."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from agem_tf.evaluation.ground_truth import (
    GroundTruth,
    QueryTruth,
    number_in_name,
)
from agem_tf.evaluation.places import Found, Places
from agem_tf.evaluation.protocols.protocol import (
    WHOLE,
    Part,
    Protocol,
    ProtocolScores,
)
from agem_tf.evaluation.protocols.ranked_scores import positions_found

_PHOTOS_PER_OBJECT = 4


@dataclasses.dataclass(frozen=True, eq=False)
class UKBenchScores(ProtocolScores):
    """The benchmark's own score.

    Attributes:
        mean_true_in_top_4: from 0 to 4. Every query finds itself, so any
            descriptor reaches 1.
        true_in_top_4: (queries,) int64.
    """

    mean_true_in_top_4: float
    true_in_top_4: np.ndarray

    def parts(self) -> dict[str, Part]:
        part = Part(
            {"in_top_4": self.mean_true_in_top_4},
            {"share_in_top_4": self.true_in_top_4 / _PHOTOS_PER_OBJECT},
            in_percent=False,
        )
        return {WHOLE: part}


class UKBenchProtocol(Protocol):
    """Four photos in a row show one object; see `ukbench_ground_truth`."""

    name = "ukbench"
    names_imply_truth = True

    def score(self, found: Found, truth: GroundTruth) -> UKBenchScores:
        return evaluate_ukbench(found.places, truth)

    def truth_from_names(self, names: Sequence[str]) -> GroundTruth:
        return ukbench_ground_truth(names)


def evaluate_ukbench(
    ranks: np.ndarray | Places, ground_truth: GroundTruth
) -> UKBenchScores:
    """Scores rankings as Nister and Stewenius ("Scalable recognition with a
    vocabulary tree", CVPR 2006).

    Args:
        ranks: (queries, photos or fewer) database indices, best first, or the
            places of the labelled photos. In a ranking of fewer than four
            photos the rest counts as wrong.
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


def ukbench_ground_truth(names: Sequence[str]) -> GroundTruth:
    """Makes the ground truth of UKBench, which its file names imply.

    Every photo is a query and stays in the database, where it should find
    itself and the other three of its object (10,200 photos).

    Args:
        names: photos such as "ukbench00123.jpg", in any order.

    Raises:
        UserError: a name has no number.
    """
    objects = [number_in_name(name) // _PHOTOS_PER_OBJECT for name in names]
    others = GroundTruth.from_labels(names, objects)
    queries = [QueryTruth(query.labelled, [], []) for query in others.queries]
    return GroundTruth(names, names, queries)

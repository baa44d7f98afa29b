"""What any protocol's result says, in one form for tables, files and charts."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from agem_tf.evaluation.landmark_retrieval import LandmarkRetrievalScores
from agem_tf.evaluation.precision_recall import PrecisionRecall
from agem_tf.evaluation.protocols import RevisitedScores
from agem_tf.evaluation.ranked_scores import RECALLS, Scores
from agem_tf.evaluation.recognition import RecognitionScores
from agem_tf.evaluation.ukbench import UKBenchScores

# The part of a protocol that has only one.
WHOLE = "all"


@dataclass(frozen=True, eq=False)
class Part:
    """A difficulty, or the whole of a protocol without difficulties.

    Attributes:
        metrics: name -> value; the first one is what papers compare.
        per_query: column -> (queries,) values; the first one, from 0 to 1,
            tells good queries from bad ones. Empty if the protocol has none.
        curve: "recall" and "precision", and "threshold" where one threshold
            holds for all queries -> (points,). Empty if there is none.
    """

    metrics: Mapping[str, float]
    per_query: Mapping[str, np.ndarray] = field(default_factory=dict)
    curve: Mapping[str, np.ndarray] = field(default_factory=dict)


@functools.singledispatch
def parts_of(scores: object) -> dict[str, Part]:
    """Returns name -> part of a protocol's result.

    Args:
        scores: what a function of `evaluation.choice.PROTOCOLS` returned.
    """
    raise TypeError(
        "`scores` must be the result of a protocol. Received: "
        f"scores={scores!r}"
    )


@parts_of.register
def _(scores: RevisitedScores) -> dict[str, Part]:
    return {
        name: parts_of(getattr(scores, name))[WHOLE]
        for name in ("easy", "medium", "hard")
    }


@parts_of.register
def _(scores: Scores) -> dict[str, Part]:
    means = {f"mp@{k}": mean for k, mean in scores.mean_precision_at.items()}
    rows = {f"p@{k}": values for k, values in scores.precisions_at.items()}
    return {
        WHOLE: Part(
            {"map": scores.mean_average_precision, **means},
            {"ap": scores.average_precisions, **rows},
            {"recall": RECALLS, "precision": scores.precision_at_recall},
        )
    }


@parts_of.register
def _(scores: LandmarkRetrievalScores) -> dict[str, Part]:
    return {
        WHOLE: Part(
            {"map@100": scores.mean_average_precision},
            {"ap@100": scores.average_precisions},
        )
    }


@parts_of.register
def _(scores: UKBenchScores) -> dict[str, Part]:
    true = scores.true_in_top_4
    return {
        WHOLE: Part(
            {"in_top_4": scores.mean_true_in_top_4},
            {"share_in_top_4": true / 4},
        )
    }


@parts_of.register
def _(scores: RecognitionScores) -> dict[str, Part]:
    return {
        WHOLE: Part(
            {"gap": scores.global_average_precision},
            {
                "right": scores.right.astype(float),
                "confidence": scores.confidences,
            },
        )
    }


@parts_of.register
def _(scores: PrecisionRecall) -> dict[str, Part]:
    return {
        WHOLE: Part(
            {
                "area": scores.area,
                "recall@p90": scores.recall_at(0.9),
                "recall@p50": scores.recall_at(0.5),
            },
            curve={
                "recall": scores.recall,
                "precision": scores.precision,
                "threshold": scores.thresholds,
            },
        )
    }

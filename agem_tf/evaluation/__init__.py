"""Ground truth, rankings, protocols and the report of an evaluation.

Protocols are NumPy: ranks and ground truth in, named results out.
"""

from agem_tf.evaluation.ground_truth import GroundTruth, QueryTruth
from agem_tf.evaluation.protocols import (
    RevisitedScores,
    Scores,
    average_precision,
    evaluate_revisited,
)
from agem_tf.evaluation.ranking import rank
from agem_tf.evaluation.report import Picture, Report, Table

__all__ = [
    "GroundTruth",
    "Picture",
    "QueryTruth",
    "Report",
    "RevisitedScores",
    "Scores",
    "Table",
    "average_precision",
    "evaluate_revisited",
    "rank",
]

"""Ground truths, rankings, protocols and the report of an evaluation.

Protocols are NumPy: ranks and ground truth in, named results out.
"""

from agem_tf.evaluation.benchmarks import (
    grouped_ground_truth,
    holidays_ground_truth,
    labelled_ground_truth,
    ukbench_ground_truth,
    ukbench_objects,
)
from agem_tf.evaluation.google_landmarks import (
    LandmarkRetrievalScores,
    evaluate_landmark_retrieval,
)
from agem_tf.evaluation.ground_truth import GroundTruth, QueryTruth
from agem_tf.evaluation.places import Found, Places, search
from agem_tf.evaluation.precision_recall import (
    PrecisionRecall,
    precision_recall,
)
from agem_tf.evaluation.protocols import (
    RevisitedScores,
    evaluate_ok_junk,
    evaluate_revisited,
)
from agem_tf.evaluation.recognition import (
    RecognitionScores,
    evaluate_recognition,
    global_average_precision,
)
from agem_tf.evaluation.report import Picture, Report, Table
from agem_tf.evaluation.scoring import Scores, average_precision
from agem_tf.evaluation.ukbench import UKBenchScores, evaluate_ukbench
from agem_tf.similarity import rank

__all__ = [
    "Found",
    "GroundTruth",
    "LandmarkRetrievalScores",
    "Picture",
    "Places",
    "PrecisionRecall",
    "QueryTruth",
    "RecognitionScores",
    "Report",
    "RevisitedScores",
    "Scores",
    "Table",
    "UKBenchScores",
    "average_precision",
    "evaluate_landmark_retrieval",
    "evaluate_ok_junk",
    "evaluate_recognition",
    "evaluate_revisited",
    "evaluate_ukbench",
    "global_average_precision",
    "grouped_ground_truth",
    "holidays_ground_truth",
    "labelled_ground_truth",
    "precision_recall",
    "rank",
    "search",
    "ukbench_ground_truth",
    "ukbench_objects",
]

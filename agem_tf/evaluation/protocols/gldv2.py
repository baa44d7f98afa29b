"""Google Landmarks v2: retrieval (mAP@100) and recognition (GAP).

See Weyand et al. (https://arxiv.org/abs/2004.01804). The CSV solutions
(https://github.com/cvdfoundation/google-landmark) name photos by identifiers;
the name of a descriptor may also be a path whose file name is the identifier.
Queries whose usage is "Ignored" are left out.
"""

import dataclasses
import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import PurePosixPath

import numpy as np

from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth, QueryTruth
from agem_tf.evaluation.places import Found, Places, check_ranks
from agem_tf.evaluation.protocols.protocol import (
    WHOLE,
    Part,
    Protocol,
    ProtocolScores,
)
from agem_tf.evaluation.protocols.ranked_scores import (
    mean_of_known,
    positions_found,
)
from agem_tf.files.csv_tables import csv_columns, csv_header

# Photos of a ranking that count for retrieval.
_TOP = 100
# Stands for the photos of a landmark that the database does not have.
_LACKING = -1


@dataclasses.dataclass(frozen=True, eq=False)
class LandmarkRetrievalScores(ProtocolScores):
    """mAP@100, from 0 to 1.

    Attributes:
        mean_average_precision: over the queries that have positives; NaN if
            none has.
        average_precisions: (queries,) float64, NaN without positives.
    """

    mean_average_precision: float
    average_precisions: np.ndarray

    def parts(self) -> dict[str, Part]:
        part = Part(
            {"map@100": self.mean_average_precision},
            {"ap@100": self.average_precisions},
        )
        return {WHOLE: part}


class LandmarkRetrievalProtocol(Protocol):
    """mAP@100; see `evaluate_landmark_retrieval`."""

    name = "gldv2"
    csv_columns = ("id", "images")

    def score(
        self, found: Found, truth: GroundTruth
    ) -> LandmarkRetrievalScores:
        return evaluate_landmark_retrieval(found.places, truth)

    def read_csv(
        self,
        path: str | os.PathLike,
        database_names: Sequence[str],
        labels: str | os.PathLike | None = None,
    ) -> GroundTruth:
        return read_retrieval_solution(path, database_names)


def evaluate_landmark_retrieval(
    ranks: np.ndarray | Places, ground_truth: GroundTruth, top: int = _TOP
) -> LandmarkRetrievalScores:
    """Scores rankings by AP@100 = (1 / min(m, 100)) sum_k P(k) rel(k).

    This is not the trapezoidal rule of Oxford and Paris. A photo that is
    listed again counts as wrong, but keeps its position. The published ground
    truth lists only queries with positives; an unanswered one scores 0.

    Args:
        ranks: (queries, photos or fewer) database indices, best first, -1
            where a list ends early; or the places of the labelled photos.
        ground_truth: ground truth of the same queries and database; easy and
            hard photos are positive, junk is removed from a ranking.
        top: how many photos of a ranking count.

    Raises:
        UserError: `ranks` does not fit the ground truth.
    """
    scores = np.full(len(ground_truth.queries), np.nan)
    found = positions_found(ranks, ground_truth)
    for query, (positions, num_positives) in enumerate(found):
        if num_positives:
            counted = positions[positions < top]
            precisions = np.arange(1, len(counted) + 1) / (counted + 1)
            scores[query] = precisions.sum() / min(num_positives, top)
    return LandmarkRetrievalScores(mean_of_known(scores), scores)


def read_retrieval_solution(
    path: str | os.PathLike, database_names: Sequence[str]
) -> GroundTruth:
    """Reads the retrieval solution.

    Args:
        path: CSV file with the columns `id,images,Usage`; images are
            identifiers separated by spaces.
        database_names: names of the index photos.

    Raises:
        UserError: the file is missing or of another form, or it lists a photo
            that is not in the database.
    """
    position = _positions(database_names)
    names, queries = [], []
    for name, images in _solution_rows(path, "images"):
        missing = [image for image in images if image not in position]
        if missing:
            raise UserError(
                f"{path} answers query {name!r} with {missing[0]!r}, "
                f"which is not among the {len(database_names):,} photos of the "
                "database; give the whole index."
            )
        names.append(name)
        queries.append(
            QueryTruth([position[image] for image in images], [], [])
        )
    return GroundTruth(database_names, names, queries)


@dataclasses.dataclass(frozen=True, eq=False)
class LandmarkRecognitionScores(ProtocolScores):
    """GAP of the most similar photos.

    Attributes:
        global_average_precision: from 0 to 1; NaN if no query has positives.
        right: (queries,) bool, whether the answer is a positive.
        confidences: (queries,) float64; NaN without an answer.
    """

    global_average_precision: float
    right: np.ndarray
    confidences: np.ndarray

    def parts(self) -> dict[str, Part]:
        part = Part(
            {"gap": self.global_average_precision},
            {
                "right": self.right.astype(float),
                "confidence": self.confidences,
            },
        )
        return {WHOLE: part}


class LandmarkRecognitionProtocol(Protocol):
    """GAP; see `evaluate_landmark_recognition`."""

    name = "gap"
    csv_columns = ("id", "landmarks")

    def score(
        self, found: Found, truth: GroundTruth
    ) -> LandmarkRecognitionScores:
        return evaluate_landmark_recognition(
            found.ranks, found.similarities, truth
        )

    def read_csv(
        self,
        path: str | os.PathLike,
        database_names: Sequence[str],
        labels: str | os.PathLike | None = None,
    ) -> GroundTruth:
        if labels is None:
            raise UserError(
                f"{path} names landmarks; give --labels=FILE.csv with the "
                "landmark of each database photo."
            )
        return read_recognition_solution(path, labels, database_names)


def evaluate_landmark_recognition(
    ranks: np.ndarray, similarities: np.ndarray, ground_truth: GroundTruth
) -> LandmarkRecognitionScores:
    """Scores the first photo of each ranking, by `global_average_precision`.

    Junk is skipped. Queries that are not answerable show no landmark; any
    answer to them is wrong, and should have low confidence. So is any answer to
    a query whose landmark the database lacks, which counts in M.

    Args:
        ranks: (queries, photos or fewer) database indices, best first, -1
            where a list ends early.
        similarities: (queries, same number) similarities of those photos; that
            of the answer is its confidence.
        ground_truth: ground truth of the same queries; easy and hard photos
            show the query's landmark.

    Raises:
        UserError: `ranks` does not fit the ground truth.
    """
    check_ranks(ranks, ground_truth)
    answers: list[object] = [None] * len(ranks)
    confidences = np.full(len(ranks), np.nan)
    for place, query in enumerate(ground_truth.queries):
        is_answer = ~np.isin(ranks[place], [-1, *query.junk])
        counted = np.flatnonzero(is_answer)
        if counted.size:
            answers[place] = ranks[place, counted[0]]
            confidences[place] = similarities[place, counted[0]]
    landmarks = [
        set(q.positives.tolist()) or ({_LACKING} if q.is_answerable else set())
        for q in ground_truth.queries
    ]
    score = global_average_precision(
        answers, np.nan_to_num(confidences), landmarks
    )
    right = [a in own for a, own in zip(answers, landmarks, strict=True)]
    return LandmarkRecognitionScores(score, np.array(right, bool), confidences)


def global_average_precision(
    predictions: Sequence[object],
    confidences: np.ndarray,
    landmarks: Sequence[Collection[object]],
) -> float:
    """GAP, or micro-AP: (1 / M) sum_i P(i) rel(i) over all predictions.

    One list over all queries, by falling confidence, so a prediction for a
    photo without a landmark lowers precision. Equal confidences keep the order
    of the queries; sort them by identifier for Kaggle's convention.

    Args:
        predictions: (queries,) predicted landmark, or None for no answer.
        confidences: (queries,) confidence of each prediction, on any scale.
        landmarks: (queries,) the true landmarks of each query, empty if it
            shows none; M counts the queries that show one.

    Returns:
        From 0 to 1; NaN if no query has a landmark.

    Raises:
        UserError: the lengths differ, or a confidence is NaN.
    """
    confidences = np.asarray(confidences, np.float64)
    if not len(predictions) == len(confidences) == len(landmarks):
        raise UserError(
            "Each query needs a prediction, a confidence and its landmarks. "
            f"Received: {len(predictions)} predictions, {len(confidences)} "
            f"confidences, {len(landmarks)} landmarks"
        )
    undefined = np.flatnonzero(np.isnan(confidences))
    if undefined.size:
        raise UserError(
            f"The confidence of prediction {undefined[0]} is NaN; check the "
            "model that made it."
        )
    answered = np.flatnonzero([label is not None for label in predictions])
    order = np.argsort(-confidences[answered], kind="stable")
    right = np.array(
        [predictions[i] in landmarks[i] for i in answered[order]], bool
    )
    precisions = np.cumsum(right) / np.arange(1, len(right) + 1)
    num_landmarks = sum(1 for labels in landmarks if len(labels))
    if not num_landmarks:
        return float("nan")
    return float(precisions[right].sum() / num_landmarks)


def read_recognition_solution(
    path: str | os.PathLike,
    labels_path: str | os.PathLike,
    database_names: Sequence[str],
) -> GroundTruth:
    """Reads the recognition solution.

    Every photo of one of a query's landmarks is a positive; queries that show
    no landmark have none, and are not answerable.

    Args:
        path: CSV file with the columns `id,landmarks,Usage`; landmarks are
            separated by spaces, or there are none.
        labels_path: CSV file with the landmarks of the index, with the columns
            "id" and "landmark_id" (train.csv), or `landmark_id,images` with
            several identifiers per row (train_clean.csv).
        database_names: names of the index photos.

    Raises:
        UserError: a file is missing or of another form.
    """
    position = _positions(database_names)
    listed = "images" if "images" in csv_header(labels_path) else "id"
    photos: dict[str, list[int]] = {}
    for landmark, identifiers in csv_columns(
        labels_path, ("landmark_id", listed)
    ):
        photos.setdefault(landmark, []).extend(
            position[name] for name in identifiers.split() if name in position
        )
    names, queries = [], []
    for name, landmarks in _solution_rows(path, "landmarks"):
        same = [photos.get(landmark, []) for landmark in landmarks]
        positives = np.unique(np.concatenate([[], *same])).astype(int)
        names.append(name)
        is_answerable = bool(landmarks)
        queries.append(
            QueryTruth(positives, [], [], is_answerable=is_answerable)
        )
    return GroundTruth(database_names, names, queries)


def _positions(names: Sequence[str]) -> dict[str, int]:
    """Returns identifier -> index; the identifier of a path is its stem."""
    return {PurePosixPath(name).stem: i for i, name in enumerate(names)}


def _solution_rows(
    path: str | os.PathLike, column: str
) -> Iterator[tuple[str, list[str]]]:
    """Yields the queries that count, and the words of one column."""
    for name, words, usage in csv_columns(path, ("id", column, "Usage")):
        if usage != "Ignored":
            yield name, words.split()

"""The protocols by name, and which one a ground truth asks for."""

from collections.abc import Callable

import numpy as np

from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth
from agem_tf.evaluation.landmark_retrieval import evaluate_landmark_retrieval
from agem_tf.evaluation.places import Found
from agem_tf.evaluation.precision_recall import precision_recall
from agem_tf.evaluation.protocols import evaluate_ok_junk, evaluate_revisited
from agem_tf.evaluation.recognition import evaluate_recognition
from agem_tf.evaluation.ukbench import evaluate_ukbench


def _by_places(evaluate: Callable) -> Callable[[Found, GroundTruth], object]:
    return lambda found, truth: evaluate(found.places, truth)


def _by_answers(evaluate: Callable) -> Callable[[Found, GroundTruth], object]:
    return lambda found, truth: evaluate(found.ranks, found.similarities, truth)


# Name -> what scores a search. Four of them differ in their ground truths only.
PROTOCOLS: dict[str, Callable[[Found, GroundTruth], object]] = {
    "revisited": _by_places(evaluate_revisited),
    "oxford": _by_places(evaluate_ok_junk),
    "holidays": _by_places(evaluate_ok_junk),
    "instre": _by_places(evaluate_ok_junk),
    "leave_one_out": _by_places(evaluate_ok_junk),
    "ukbench": _by_places(evaluate_ukbench),
    "gldv2": _by_places(evaluate_landmark_retrieval),
    "gap": _by_answers(evaluate_recognition),
    "precision_recall": _by_answers(precision_recall),
}


def check_protocol(name: str) -> None:
    """Refuses an unknown protocol.

    Raises:
        UserError: it names the known ones.
    """
    if name not in PROTOCOLS:
        raise UserError(
            f"Unknown protocol {name!r}. Known: {', '.join(PROTOCOLS)}."
        )


def fitting_protocol(ground_truth: GroundTruth) -> str:
    """The protocol that a ground truth's labels are made for.

    "revisited" where any photo is hard; "leave_one_out" where each query is in
    the database and its own junk; else "oxford".
    """
    queries = ground_truth.queries
    if any(query.hard.size for query in queries):
        return "revisited"
    position = {name: i for i, name in enumerate(ground_truth.database_names)}
    left_out = [
        np.isin(position.get(name, -1), query.junk)
        for name, query in zip(ground_truth.query_names, queries, strict=True)
    ]
    return "leave_one_out" if all(left_out) else "oxford"

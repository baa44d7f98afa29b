"""Protocols: one module for each, and the table of them by name."""

from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth
from agem_tf.evaluation.protocols.gldv2 import (
    LandmarkRecognitionProtocol,
    LandmarkRetrievalProtocol,
)
from agem_tf.evaluation.protocols.oxford import (
    HolidaysProtocol,
    InstreProtocol,
    LeaveOneOutProtocol,
    OxfordProtocol,
)
from agem_tf.evaluation.protocols.precision_recall import (
    PrecisionRecallProtocol,
)
from agem_tf.evaluation.protocols.protocol import Protocol
from agem_tf.evaluation.protocols.revisited import RevisitedProtocol
from agem_tf.evaluation.protocols.ukbench import UKBenchProtocol

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        RevisitedProtocol(),
        OxfordProtocol(),
        HolidaysProtocol(),
        InstreProtocol(),
        LeaveOneOutProtocol(),
        UKBenchProtocol(),
        LandmarkRetrievalProtocol(),
        LandmarkRecognitionProtocol(),
        PrecisionRecallProtocol(),
    )
}


def find_protocol(name: str) -> Protocol:
    """Returns the protocol of that name.

    Raises:
        UserError: the name is unknown; the message lists the known ones.
    """
    if name not in PROTOCOLS:
        raise UserError(
            f"Unknown protocol {name!r}. Known: {', '.join(PROTOCOLS)}."
        )
    return PROTOCOLS[name]


def fitting_protocol(truth: GroundTruth) -> str:
    """Returns the name of the protocol that a ground truth is made for.

    "revisited" if any query has hard photos, "leave_one_out" if each query is
    in the database and its own junk, else "oxford".
    """
    fitting = (name for name, each in PROTOCOLS.items() if each.fits(truth))
    return next(fitting, OxfordProtocol.name)

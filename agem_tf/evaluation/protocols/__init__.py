"""How rankings are scored: one module per protocol, and the table of them."""

from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth
from agem_tf.evaluation.protocols.gldv2 import (
    LandmarkRecognition,
    LandmarkRetrieval,
)
from agem_tf.evaluation.protocols.oxford import (
    Holidays,
    Instre,
    LeaveOneOut,
    Oxford,
)
from agem_tf.evaluation.protocols.precision_recall import PooledPrecisionRecall
from agem_tf.evaluation.protocols.protocol import Protocol
from agem_tf.evaluation.protocols.revisited import Revisited
from agem_tf.evaluation.protocols.ukbench import UKBench

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Revisited(),
        Oxford(),
        Holidays(),
        Instre(),
        LeaveOneOut(),
        UKBench(),
        LandmarkRetrieval(),
        LandmarkRecognition(),
        PooledPrecisionRecall(),
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
    return next(fitting, Oxford.name)

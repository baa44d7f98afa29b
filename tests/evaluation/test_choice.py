"""Protocols by name."""

import pytest

from agem_tf.errors import UserError
from agem_tf.evaluation.choice import check_protocol, fitting_protocol
from agem_tf.evaluation.ground_truth import GroundTruth, QueryTruth


def _truth(queries, names="qr"):
    return GroundTruth(list("abcd"), list(names), queries)


def test_the_labels_tell_the_protocol():
    easy, hard = QueryTruth([0], [], [1]), QueryTruth([0], [2], [])
    assert fitting_protocol(_truth([easy, hard])) == "revisited"
    assert fitting_protocol(_truth([easy, easy])) == "oxford"
    grouped = GroundTruth.from_labels(list("abc"), [1, 1, 2])
    assert fitting_protocol(grouped) == "leave_one_out"
    # The old protocol lists a query's own photo as a positive.
    own = QueryTruth([0, 1], [], [])
    assert fitting_protocol(_truth([own, own], "ab")) == "oxford"


def test_an_unknown_protocol_names_the_known():
    check_protocol("instre")
    with pytest.raises(UserError, match="'rparis'. Known: revisited, oxford,"):
        check_protocol("rparis")

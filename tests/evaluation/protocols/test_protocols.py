"""Protocols by name, and the scores that were published for them."""

import pytest

from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth, QueryTruth
from agem_tf.evaluation.protocols import (
    PROTOCOLS,
    find_protocol,
    fitting_protocol,
)


def _truth(queries, names="qr"):
    return GroundTruth(list("abcd"), list(names), queries)


def test_the_labels_choose_the_protocol():
    easy, hard = QueryTruth([0], [], [1]), QueryTruth([0], [2], [])
    assert fitting_protocol(_truth([easy, hard])) == "revisited"
    assert fitting_protocol(_truth([easy, easy])) == "oxford"
    grouped = GroundTruth.from_labels(list("abc"), [1, 1, 2])
    assert fitting_protocol(grouped) == "leave_one_out"
    # The old protocol lists a query's own photo as a positive.
    own = QueryTruth([0, 1], [], [])
    assert fitting_protocol(_truth([own, own], "ab")) == "oxford"


def test_an_unknown_protocol_names_the_known():
    assert find_protocol("instre") is PROTOCOLS["instre"]
    with pytest.raises(UserError, match="'rparis'. Known: revisited, oxford,"):
        find_protocol("rparis")


@pytest.mark.parametrize(
    ("protocol", "size", "dataset", "method", "scores"),
    [
        (
            "revisited",
            (70, 4993, 0),
            "ROxford",
            "AGeM",
            {"medium": 67.0, "hard": 40.7},
        ),
        (
            "revisited",
            (70, 6322, 0),
            "RParis",
            "GeM",
            {"medium": 77.2, "hard": 56.3},
        ),
        ("oxford", (55, 5063, 0), "Oxford5k", "DELF+FT+ATT", {"all": 83.8}),
        ("oxford", (55, 6392, 100_071), "Paris106k", "CONGAS", {"all": 56.8}),
    ],
)
def test_a_benchmark_is_recognised_by_its_size(
    protocol, size, dataset, method, scores
):
    published = PROTOCOLS[protocol].published[size]
    assert published.dataset == dataset
    rows = [row for name, row in published.rows.items() if method in name]
    assert scores in rows
    assert any("blurred faces" in caveat for caveat in published.caveats)


@pytest.mark.parametrize(
    ("protocol", "size"),
    [
        ("oxford", (70, 4993, 0)),
        ("revisited", (70, 4992, 0)),
        ("revisited", (70, 4993, 1_001_001)),
    ],
)
def test_other_data_has_no_published_scores(protocol, size):
    assert size not in PROTOCOLS[protocol].published

"""Every protocol's result as a row, and as JSON."""

import json

import numpy as np
import pytest

from agem_tf.evaluation.ground_truth import GroundTruth, QueryTruth
from agem_tf.evaluation.places import search_database
from agem_tf.evaluation.protocols import PROTOCOLS
from agem_tf.evaluation.protocols.revisited import evaluate_revisited
from agem_tf.evaluation.tables import format_table, scores_dict, scores_row
from agem_tf.retrieval.nearest import rank


@pytest.mark.parametrize(
    ("protocol", "columns"),
    [
        (
            "revisited",
            "mAP easy,mAP medium,mAP hard,mP@1,mP@5,mP@10",
        ),
        ("oxford", "mAP,mP@1,mP@5,mP@10"),
        ("holidays", "mAP,mP@1,mP@5,mP@10"),
        ("instre", "mAP,mP@1,mP@5,mP@10"),
        ("leave_one_out", "mAP,mP@1,mP@5,mP@10"),
        ("ukbench", "in top 4"),
        ("gldv2", "mAP@100"),
        ("gap", "GAP"),
        ("precision_recall", "area,recall@p90,recall@p50"),
    ],
)
def test_every_protocol_has_a_row_and_json(tied, protocol, columns):
    queries, database, _ = tied
    best = rank(queries, database, 2)
    truth = GroundTruth(
        range(len(database)),
        range(len(queries)),
        [QueryTruth(pair[:1], pair[1:], []) for pair in best],
    )
    found = search_database(queries, database, truth.queries, 50)
    scores = PROTOCOLS[protocol].score(found, truth)
    row = scores_row("ours", scores)
    assert list(row) == ["descriptors", *columns.split(",")]
    for part in json.loads(json.dumps(scores_dict(scores))).values():
        first, *others = part.values()
        assert 0 < first <= 2
        assert all(0 <= value <= 1 for value in others)


def test_shares_are_percent_and_undefined_ones_a_dash():
    truth = GroundTruth(list("abc"), ["q"], [QueryTruth([], [1], [0])])
    scores = evaluate_revisited(np.array([[0, 2, 1]]), truth)
    row = scores_row("ours", scores)
    assert row["mAP hard"] == row["mAP medium"] == "25.0"
    assert (row["mAP easy"], row["mP@1"]) == ("-", "0.0")
    assert scores_dict(scores)["easy"]["map"] is None
    assert scores_dict(scores)["hard"] == {
        "map": 0.25,
        "mp@1": 0.0,
        "mp@5": 0.5,
        "mp@10": 0.5,
    }


def test_columns_are_aligned():
    rows = [{"name": "a", "mAP": "5.0"}, {"name": "bcde", "mAP": "100.0"}]
    assert format_table(rows).splitlines() == [
        "name    mAP",
        "a       5.0",
        "bcde  100.0",
    ]


def test_without_hard_photos_there_is_one_map():
    truth = GroundTruth(list("abc"), ["q"], [QueryTruth([1], [], [0])])
    scores = evaluate_revisited(np.array([[0, 2, 1]]), truth)
    assert scores_row("ours", scores) == {
        "descriptors": "ours",
        "mAP": "25.0",
        "mP@1": "0.0",
        "mP@5": "50.0",
        "mP@10": "50.0",
    }
    assert list(scores.shown_parts()) == [scores.main_part()]
    np.testing.assert_array_equal(scores.query_scores(), [0.25])
    # The files keep all difficulties.
    assert scores_dict(scores)["hard"]["map"] is None
    assert scores_dict(scores)["easy"] == scores_dict(scores)["medium"]

"""The numbers of an evaluation on disk."""

import csv
import json

import numpy as np
import pytest

from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.evaluation.evaluating import evaluate_descriptors
from agem_tf.evaluation.protocols import PROTOCOLS
from agem_tf.evaluation.results import write_numbers
from agem_tf.retrieval.ranking import Ranking


def _evaluate(tied, protocol):
    queries, database, truth = tied
    return evaluate_descriptors(
        DescriptorSet(truth.database_names, database),
        truth,
        DescriptorSet(truth.query_names, queries),
        DescriptorSet(["far \udcff"], -database[:1]),
        protocol,
        top=20,
        notes=["Faces are blurred."],
    )


def _rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_scores_and_rankings_are_written(tied, tmp_path):
    evaluation = _evaluate(tied, "revisited")
    write_numbers(tmp_path, evaluation, {"rerank": []})
    metrics = json.loads((tmp_path / "metrics.json").read_bytes())
    easy = evaluation.scores.easy
    assert metrics["scores"]["easy"]["map"] == easy.mean_average_precision
    assert metrics["notes"] == ["Faces are blurred."]
    assert [metrics[k] for k in ("queries", "database", "distractors")] == [
        *(9, 200, 1)
    ]
    ranking = Ranking.load(tmp_path / "ranking", verify=True)
    np.testing.assert_array_equal(ranking.ranks, evaluation.ranks)
    assert ranking.database_names[200] == "far \udcff"


def test_each_query_has_a_row(tied, tmp_path):
    evaluation = _evaluate(tied, "revisited")
    write_numbers(tmp_path, evaluation, {})
    rows = _rows(tmp_path / "per_query.csv")
    truth = tied[2]
    assert [row["query"] for row in rows] == truth.query_names
    for part in ("easy", "medium", "hard"):
        scores = getattr(evaluation.scores, part)
        for row, expected in zip(rows, scores.average_precisions, strict=True):
            text = row[f"ap_{part}"]
            assert text == "" if np.isnan(expected) else True
            np.testing.assert_allclose(float(text or "nan"), expected, 1e-5)
    best = [truth.database_names[i] for i in evaluation.ranks[:, 0]]
    assert [row["best"] for row in rows] == best


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_curves_are_written_if_the_protocol_has_one(tied, tmp_path, protocol):
    evaluation = _evaluate(tied, protocol)
    write_numbers(tmp_path, evaluation, {})
    path = tmp_path / "precision_recall.csv"
    assert path.exists() == (protocol not in ("ukbench", "gldv2", "gap"))
    if path.exists():
        rows = _rows(path)
        recalls = [float(row["recall"]) for row in rows]
        assert 5 < len(rows) <= 3 * 101 and 0 < max(recalls) <= 1
        assert bool(rows[0]["threshold"]) == (protocol == "precision_recall")

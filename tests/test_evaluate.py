"""The command that scores descriptors."""

import json
import subprocess
import sys
import types

import numpy as np
import pytest

from agem_tf import evaluate
from agem_tf.artifacts import DescriptorSet, Ranking
from agem_tf.evaluation import GroundTruth, evaluate_revisited
from agem_tf.search.reranking import parse_rerank, rerank


@pytest.fixture
def descriptors(tmp_path, monkeypatch):
    """Twenty photos of five landmarks, and a dataset that knows them."""
    rng = np.random.default_rng(0)
    labels = np.arange(20) % 5
    rows = rng.normal(size=(5, 7))[labels] + 0.8 * rng.normal(size=(20, 7))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    names = [f"photo{i}" for i in range(20)]
    described = DescriptorSet(names, rows, {"model": "a1b2"})
    described.save(tmp_path / "descriptors")
    truth = GroundTruth.from_labels(names, labels)
    dataset = types.SimpleNamespace(ground_truth=lambda split: truth)
    opened = types.SimpleNamespace(PreparedDataset=lambda path: dataset)
    monkeypatch.setattr(evaluate, "prepared", opened)
    return described.descriptors, truth


def test_re_ranking_is_scored_and_recorded(descriptors, tmp_path):
    rows, truth = descriptors
    specifications = ["dba:3,1", "qe:2,0"]
    evaluation = evaluate.main(
        tmp_path / "descriptors",
        "data",
        rerank=specifications,
        output=tmp_path / "scores",
    )
    expected = rerank(rows, rows, parse_rerank(specifications))
    assert not np.array_equal(expected, rerank(rows, rows))
    np.testing.assert_array_equal(evaluation.ranks, expected)
    ranking = Ranking.load(tmp_path / "scores" / "ranking")
    np.testing.assert_array_equal(ranking.ranks, expected)
    assert ranking.provenance == {"model": "a1b2", "rerank": specifications}
    metrics = json.loads((tmp_path / "scores" / "metrics.json").read_bytes())
    scores = evaluate_revisited(expected, truth).easy
    assert metrics["easy"]["map"] == scores.mean_average_precision
    assert metrics["hard"]["map"] is None


def test_without_steps_the_ranking_is_exact(descriptors, tmp_path):
    rows, _ = descriptors
    evaluation = evaluate.main(tmp_path / "descriptors", "data")
    np.testing.assert_array_equal(evaluation.ranks, rerank(rows, rows))


def test_an_unknown_step_is_one_line_before_anything_is_read():
    result = subprocess.run(
        [sys.executable, "-m", "agem_tf.evaluate", "--descriptors=none"]
        + ["--data_dir=none", "--rerank=dba:20,1", "--rerank=aqe"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 2
    message = result.stderr.splitlines()[-1]
    assert message.startswith("error: Unknown re-ranking 'aqe'. Known: dba")

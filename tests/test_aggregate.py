"""Codebooks, indexes of local features and VLADs by the command."""

import json

import numpy as np
import pytest

from agem_tf import aggregate, evaluate
from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.descriptors.local_features import (
    LocalFeatures,
    LocalFeatureWriter,
)
from agem_tf.errors import UserError

pytest.importorskip("faiss")
NAMES = [f"{place}/{photo}.jpg" for place in range(4) for photo in range(3)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Local features of all photos and of the first seven; a ground truth."""
    root = tmp_path_factory.mktemp("features")
    for directory, names in (("all", NAMES), ("some", NAMES[:7])):
        with LocalFeatureWriter(root / directory, names, 16) as writer:
            for name in names:
                writer.write(_features(name))
    queries = range(0, len(NAMES), 3)
    truth = {
        "imlist": NAMES,
        "qimlist": [NAMES[query] for query in queries],
        "gnd": [
            {"easy": [query + 1, query + 2], "hard": [], "junk": [query]}
            for query in queries
        ],
    }
    (root / "truth.json").write_text(json.dumps(truth))
    return root


def _features(name: str) -> LocalFeatures:
    place, photo = int(name[0]), int(name[2])
    rows = np.random.default_rng(place).normal(size=(30, 16))
    rng = np.random.default_rng([place, photo, 1])
    rows = rows + 0.05 * rng.normal(size=rows.shape)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    places = rng.uniform(0, 99, (30, 2))
    return LocalFeatures(places, rows, np.ones(30), np.ones(30), (100, 100))


@pytest.fixture(scope="module")
def words(folder):
    aggregate.main(
        aggregate.CodebookOptions(
            features=str(folder / "all"),
            codebook=str(folder / "words"),
            num_words=8,
        )
    )
    return str(folder / "words")


def _score(folder, index) -> float:
    evaluation = evaluate.main(
        evaluate.FeatureEvaluateOptions(
            local_index=str(index),
            query_features=str(folder / "all"),
            ground_truth=str(folder / "truth.json"),
        )
    )
    return evaluation.scores.mean_average_precision


@pytest.mark.parametrize("method", ["asmk", "asmk_binary", "votes"])
def test_an_index_is_made_changed_and_scored(
    folder, words, method, tmp_path, capsys
):
    index = str(tmp_path / "index")
    given = (
        {"factory": "IVF1,Flat", "neighbours": 4}
        if method == "votes"
        else {"words": words}
    )
    aggregate.main(
        aggregate.AggregateOptions(
            features=str(folder / "some"), method=method, output=index, **given
        )
    )
    with pytest.raises(UserError, match="lacks 5 photos of the ground truth"):
        _score(folder, index)
    aggregate.main(
        aggregate.FeatureAddOptions(features=str(folder / "all"), add=index)
    )
    assert "5 added; 12 photos" in capsys.readouterr().out
    assert _score(folder, index) > 0.6
    aggregate.main(
        aggregate.FeatureRemoveOptions(index=index, remove=(NAMES[-1],))
    )
    assert "1 removed; 11 photos" in capsys.readouterr().out


def test_vlads_are_descriptors(folder, words, tmp_path):
    aggregate.main(
        aggregate.AggregateOptions(
            features=str(folder / "all"),
            method="vlad",
            words=words,
            output=str(tmp_path / "vlads"),
        )
    )
    vlads = DescriptorSet.load(tmp_path / "vlads")
    assert vlads.descriptors.shape == (12, 8 * 16)
    evaluation = evaluate.main(
        evaluate.EvaluateOptions(
            descriptors=str(tmp_path / "vlads"),
            ground_truth=str(folder / "truth.json"),
        )
    )
    assert evaluation.scores.mean_average_precision > 0.6


def test_an_index_is_verified_by_features(folder, words, tmp_path):
    index = str(tmp_path / "index")
    aggregate.main(
        aggregate.AggregateOptions(
            features=str(folder / "all"), words=words, output=index
        )
    )
    options = {
        "local_index": index,
        "query_features": str(folder / "all"),
        "ground_truth": str(folder / "truth.json"),
    }
    evaluation = evaluate.main(
        evaluate.FeatureEvaluateOptions(
            rerank=("verify:12",),
            local_features=str(folder / "all"),
            output=str(tmp_path / "scores"),
            **options,
        )
    )
    assert (tmp_path / "scores" / "report.html").exists()
    assert evaluation.ranks.shape == (4, 12)
    for wrong, message in (
        ({"rerank": ("qe:2,0",)}, "no descriptors to re-rank"),
        ({"rerank": ("verify:5",)}, "needs --local_features"),
        ({"local_features": "any"}, "which is not given"),
        ({"ground_truth": None}, "named by a ground truth"),
        ({"local_index": words}, "no index of local features"),
    ):
        with pytest.raises(UserError, match=message):
            evaluate.main(evaluate.FeatureEvaluateOptions(**(options | wrong)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "asmk_binary needs --words"),
        ({"method": "votes", "words": "w"}, "has no --words"),
        ({"words": "w", "factory": "IVF1,Flat"}, "--factory is for"),
        ({"words": "w", "neighbours": 3}, "--neighbours is for"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        aggregate.AggregateOptions(features="f", output="o", **options)

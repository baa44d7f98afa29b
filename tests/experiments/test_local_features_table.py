"""DELF's table: a row of votes and inliers, and the fused order."""

import pathlib
import runpy

import numpy as np
import pytest

import agem_tf
from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.descriptors.local_features import (
    LocalFeatures,
    LocalFeatureSet,
    LocalFeatureWriter,
)
from agem_tf.evaluation.ground_truth import GroundTruth

ROOT = pathlib.Path(agem_tf.__file__).parents[1]
SIZE, FEATURES, DIMENSION = (120, 160), 30, 8
NAMES = ["a", "b", "c"]


def _features(seed):
    rng = np.random.default_rng(seed)
    descriptors = rng.normal(size=(FEATURES, DIMENSION)).astype(np.float32)
    return LocalFeatures(
        rng.uniform(0, 119, (FEATURES, 2)).astype(np.float32),
        descriptors / np.linalg.norm(descriptors, axis=1, keepdims=True),
        np.ones(FEATURES, np.float32),
        np.ones(FEATURES, np.float32),
        SIZE,
    )


def _stored(directory, names, seeds):
    with LocalFeatureWriter(directory, names, DIMENSION) as writer:
        for seed in seeds:
            writer.write(_features(seed))
    return LocalFeatureSet.load(directory)


@pytest.fixture
def table(tmp_path):
    """A table of three photos; the query shows the second."""
    pytest.importorskip("faiss")
    script = runpy.run_path(str(ROOT / "experiments/local_features_table.py"))
    table = script["Table"]("no data", tmp_path, FEATURES, None)
    entry = {"bbx": None, "easy": [1], "hard": [], "junk": []}
    truth = {"imlist": NAMES, "qimlist": ["q"], "gnd": [entry]}
    # In place of those of the prepared dataset.
    vars(table)["truth"] = GroundTruth.from_dict(truth)
    vars(table)["protocol"] = "revisited"
    return table


@pytest.fixture
def local(table, tmp_path, capsys):
    """Local features of the photos and of the query, and their row."""
    photos = _stored(tmp_path / "photos", NAMES, (1, 2, 3))
    queries = _stored(tmp_path / "queries", ["q"], (2,))
    table.by_votes("mine", photos, queries, str(tmp_path / "photos"))
    return photos, queries, capsys.readouterr().out.strip().splitlines()[-1]


def test_a_photo_of_the_same_features_is_found(local):
    *_, row = local
    assert row.startswith("| mine | 100.0 ")


def test_votes_and_inliers_are_added_to_the_dot_products(table, local):
    photos, queries, _ = local
    scores = table.local_scores("mine", photos, queries)(0)
    # The most votes of the query and the most inliers count 1 each.
    assert np.argmax(scores) == 1 and scores[1] == pytest.approx(2)
    assert max(scores[0], scores[2]) <= 1
    rows = np.eye(3, dtype=np.float32)
    for similarity, best in ((0.5, 1), (4.0, 2)):
        query = DescriptorSet(["q"], np.array([[0, 0, similarity]], "f4"))
        pooled = DescriptorSet(NAMES, rows), query
        verify = table.fusion(lambda query: scores, pooled)
        assert verify(0, np.array([2, 0, 1]))[0] == best

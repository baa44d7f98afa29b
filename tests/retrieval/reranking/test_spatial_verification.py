"""Candidates are ordered by the matches that agree on a homography."""

import numpy as np
import pytest

from agem_tf.descriptors.local_features import LocalFeatures
from agem_tf.errors import UserError
from agem_tf.retrieval.reranking import (
    SpatialVerification,
    parse_rerank,
    split_verification,
    transform,
)

SIZE = (400, 400)


def photo(shared, seed):
    """A photo that shares `shared` of 60 features with photo 0, shifted."""
    scene, own = np.random.default_rng(0), np.random.default_rng(seed)
    points = scene.uniform(0, 300, (60, 2)) + seed
    descriptors = scene.normal(size=(60, 16)) / 4
    points[shared:] = own.uniform(0, 300, (60 - shared, 2))
    descriptors[shared:] = own.normal(size=(60 - shared, 16)) / 4
    return LocalFeatures(points, descriptors, np.ones(60), np.ones(60), SIZE)


SHARED = [0, 30, 50, 0, 40, 60]
DATABASE = [photo(shared, seed + 1) for seed, shared in enumerate(SHARED)]


def test_photos_with_inliers_come_first_and_others_keep_their_order():
    step = SpatialVerification(num_candidates=5)
    order = np.array([3, 0, 1, 2, 4, 5])
    found, inliers = step.reorder(photo(60, 0), DATABASE.__getitem__, order)
    # Photo 5 has the most, but is no candidate.
    assert found.tolist() == [2, 4, 1, 3, 0, 5]
    assert (inliers[:3] >= [50, 40, 30]).all() and (inliers[3:] < 10).all()


def test_a_photo_without_features_keeps_the_order():
    none = LocalFeatures.none(16, SIZE)
    order = np.array([3, 1, 0, 2])
    found, inliers = SpatialVerification().reorder(
        none, DATABASE.__getitem__, order
    )
    assert found.tolist() == order.tolist() and not inliers.any()


def test_the_text_form():
    assert parse_rerank(["verify"]) == [SpatialVerification()]
    steps = parse_rerank(["qe:3,0", "diffusion", "verify:50,12,affine,4"])
    others, last = split_verification(steps)
    assert len(others) == 2
    assert last == SpatialVerification(50, 12, "affine", 4.0)
    assert split_verification(others) == (others, None)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (["verify", "qe"], "last step"),
        (["verify:0"], "num_candidates"),
        (["verify:5,5,rigid"], "homography"),
    ],
)
def test_bad_steps_are_refused(steps, message):
    with pytest.raises(UserError, match=message):
        parse_rerank(steps)


def test_it_needs_local_features():
    rows = np.eye(4, dtype=np.float32)
    with pytest.raises(UserError, match="--local_features"):
        transform(rows, rows, parse_rerank(["verify"]))

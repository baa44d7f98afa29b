"""Matches of synthetic features under known transforms."""

import numpy as np
import pytest

from agem_tf.descriptors.local_features import LocalFeatures
from agem_tf.errors import UserError
from agem_tf.retrieval.geometry_options import GeometryOptions
from agem_tf.retrieval.local_matching import match_features
from agem_tf.retrieval.photo_geometry import estimate_transform, verify

HOMOGRAPHY = np.array([[0.9, 0.1, 20], [-0.05, 1.1, -10], [1e-4, -1e-4, 1]])
AFFINE = np.array([[0.9, 0.2, 30], [-0.1, 1.1, 40], [0, 0, 1.0]])
KINDS = [
    ("homography", "poselib"),
    ("homography", "opencv"),
    ("affine", "opencv"),
    ("fundamental", "poselib"),
    ("fundamental", "opencv"),
]


def mapped(transform, points):
    points = np.column_stack([points, np.ones(len(points))]) @ transform.T
    return points[:, :2] / points[:, 2:]


def features(points, descriptors, size=(480, 640)):
    count = len(points)
    return LocalFeatures(
        points, descriptors, np.ones(count), np.ones(count), size
    )


def pair(transform, count=120, wrong=40):
    """Two photos whose last `wrong` features have nothing in common."""
    rng = np.random.default_rng(3)
    points = rng.uniform(0, 480, (count, 2))
    others = mapped(transform, points) + rng.normal(0, 0.3, (count, 2))
    descriptors = rng.normal(size=(count, 16)) / 4
    same = descriptors + rng.normal(0, 0.01, descriptors.shape)
    others[-wrong:] = rng.uniform(0, 480, (wrong, 2))
    order = rng.permutation(count)
    return features(points, descriptors), features(others[order], same[order])


@pytest.mark.parametrize(("model", "estimator"), KINDS)
def test_the_true_matches_are_inliers(model, estimator):
    truth = AFFINE if model == "affine" else HOMOGRAPHY
    first, second = pair(truth)
    options = GeometryOptions(model, estimator, threshold=3)
    found = verify(first, second, options)
    assert len(found.matches) == 120
    assert found.is_inlier[:80].all()
    assert found.is_inlier[80:].sum() <= (10 if model == "fundamental" else 2)
    if model == "fundamental":
        points = np.column_stack([first.keypoints[:80], np.ones(80)])
        others = mapped(truth, first.keypoints[:80])
        lines = points @ found.transform.T
        distances = np.sum(np.column_stack([others, np.ones(80)]) * lines, 1)
        distances /= np.linalg.norm(lines[:, :2], axis=1)
        assert np.abs(distances).max() < 3
    else:
        corners = np.array([[0, 0], [480, 0], [480, 480], [0, 480.0]])
        np.testing.assert_allclose(
            mapped(found.transform, corners), mapped(truth, corners), atol=2
        )


@pytest.mark.parametrize(("model", "estimator"), KINDS)
def test_two_runs_agree(model, estimator):
    first, second = pair(HOMOGRAPHY, wrong=90)
    options = GeometryOptions(model, estimator, seed=5)
    one, other = (verify(first, second, options) for _ in range(2))
    np.testing.assert_array_equal(one.is_inlier, other.is_inlier)
    np.testing.assert_array_equal(one.transform, other.transform)


RANDOM = np.random.default_rng(0).uniform(0, 400, (40, 2))
LINE = np.column_stack([np.arange(40.0), 2 * np.arange(40.0)]) * 5
DEGENERATE = {
    "none": RANDOM[:0],
    "one": RANDOM[:1],
    "three": RANDOM[:3],
    "a point": np.full((40, 2), 7.0),
    "a line": LINE,
}


@pytest.mark.parametrize(("model", "estimator"), KINDS)
@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_points_have_no_transform(name, model, estimator):
    points = DEGENERATE[name]
    transform, is_inlier = estimate_transform(
        points, points, GeometryOptions(model, estimator)
    )
    assert transform is None
    assert is_inlier.shape == (len(points),) and not is_inlier.any()


def test_photos_without_features_have_no_matches():
    some = features(RANDOM, np.eye(40))
    none = LocalFeatures.none(40, (480, 640))
    for first, second in ((some, none), (none, some), (none, none)):
        found = verify(first, second)
        assert found.matches.shape == (0, 2) and found.num_inliers == 0


def test_identical_features_are_one_match():
    same = features(RANDOM, np.ones((40, 4)))
    assert len(match_features(same, same)) == 1
    assert len(match_features(same, same, ratio=0.9)) == 0
    assert verify(same, same).transform is None


def test_matches_are_mutual_and_pass_the_ratio_test():
    # Distances of first 0 and 1 to second: (0.1, 0.3) and (0.2, 0.4).
    first = features(RANDOM[:2], [[0.0], [-0.1]])
    second = features(RANDOM[:2], [[0.1], [0.3]])
    assert match_features(first, second).tolist() == [[0, 0]]
    both = match_features(first, second, mutual=False)
    assert both.tolist() == [[0, 0], [1, 0]]
    kept = match_features(first, second, ratio=0.4, mutual=False)
    assert kept.tolist() == [[0, 0]]


def test_features_of_two_kinds_are_refused():
    with pytest.raises(UserError, match="dimension 40 and 4"):
        match_features(
            features(RANDOM, np.eye(40)), features(RANDOM, np.ones((40, 4)))
        )


def test_the_threshold_is_relative_to_the_size_of_the_photo():
    """A photo of twice the size has the same inliers."""
    first, second = pair(HOMOGRAPHY)
    large = [
        features(2 * each.keypoints, each.descriptors, (960, 1280))
        for each in (first, second)
    ]
    small, doubled = verify(first, second), verify(*large)
    np.testing.assert_array_equal(small.is_inlier, doubled.is_inlier)
    enlarge = np.diag([2, 2, 1])
    np.testing.assert_allclose(
        doubled.transform @ enlarge, enlarge @ small.transform, atol=1e-2
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "rigid"}, "homography, affine, fundamental"),
        ({"estimator": "ransac"}, "poselib, opencv"),
        ({"model": "affine"}, "PoseLib estimates no affine"),
        ({"threshold": 0}, "threshold must be positive"),
        ({"threshold": float("nan")}, "threshold must be positive"),
        ({"ratio": 1.5}, "ratio must be"),
        ({"seed": -1}, "seed must be"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        GeometryOptions(**options)

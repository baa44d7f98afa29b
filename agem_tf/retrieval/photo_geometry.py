"""The geometry of two photos: a transform and the matches that agree with it.

The robust estimation is PoseLib's or OpenCV's (USAC with MAGSAC). Both are
seeded, so that two runs agree.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import poselib

from agem_tf.descriptors.local_features import LocalFeatures
from agem_tf.retrieval.geometry_options import GeometryOptions
from agem_tf.retrieval.local_matching import match_features

# Fewest matches that an estimator takes, one more than determine the model:
# without it, any matches are inliers.
_FEWEST = {"homography": 5, "affine": 4, "fundamental": 8}
# Longer side that photos are scaled to before residuals are measured.
_SIDE = 1000.0
_ITERATIONS = 1000
_CONFIDENCE = 0.9999


@dataclass(frozen=True, eq=False)
class VerifiedMatches:
    """Matches of two photos, and which of them agree on a transform.

    Attributes:
        matches: (matches, 2) indices of features.
        is_inlier: (matches,) bool.
        transform: (3, 3) float64 that maps pixels (x, y, 1) of the first photo
            to the second, up to scale; the fundamental matrix F of
            `second' F first = 0` for that model; None if there is none.
        num_inliers: Number of inliers; 0 if there is no transform.
    """

    matches: np.ndarray
    is_inlier: np.ndarray
    transform: np.ndarray | None

    @property
    def num_inliers(self) -> int:
        return int(self.is_inlier.sum())


def verify(
    first: LocalFeatures,
    second: LocalFeatures,
    options: GeometryOptions | None = None,
) -> VerifiedMatches:
    """Matches two photos and estimates the transform between them.

    Too few matches, and matches on one line or point, give no transform and no
    inliers.

    Args:
        first: features of one photo.
        second: features of the other.
        options: how matches are verified.

    Raises:
        UserError: the photos have different kinds of features.
    """
    options = options or GeometryOptions()
    matches = match_features(first, second, options.ratio)
    factors = [_SIDE / max(photo.size) for photo in (first, second)]
    points = [
        photo.keypoints[matches[:, side]].astype(np.float64) * factors[side]
        for side, photo in enumerate((first, second))
    ]
    transform, is_inlier = estimate_transform(*points, options)
    if transform is not None:
        scaling, back = (np.diag([f, f, 1.0]) for f in factors)
        if options.model == "fundamental":
            transform = back @ transform @ scaling
        else:
            transform = np.linalg.inv(back) @ transform @ scaling
            transform = transform / transform[2, 2]
    return VerifiedMatches(matches, is_inlier, transform)


def estimate_transform(
    first: np.ndarray, second: np.ndarray, options: GeometryOptions
) -> tuple[np.ndarray | None, np.ndarray]:
    """Estimates the transform of most matched points.

    Args:
        first: (matches, 2) float64, x and y in the first photo.
        second: (matches, 2) float64 in the second photo.
        options: how matches are verified; its threshold is in the unit of the
            points.

    Returns:
        The (3, 3) matrix, see `VerifiedMatches`, and (matches,) bool of its
        inliers; None and no inliers if the points determine none.
    """
    nothing = None, np.zeros(len(first), bool)
    if len(first) < _FEWEST[options.model]:
        return nothing
    run = _with_poselib if options.estimator == "poselib" else _with_opencv
    transform, is_inlier = run(first, second, options)
    if transform is None or not np.isfinite(transform).all():
        return nothing
    if is_inlier.sum() < _FEWEST[options.model] or any(
        _are_on_a_line(points[is_inlier], options.threshold)
        for points in (first, second)
    ):
        return nothing
    # Homographies map a finite pixel to infinity only if they are degenerate.
    if options.model != "fundamental" and transform[2, 2] == 0:
        return nothing
    return transform, is_inlier


def _with_poselib(
    first: np.ndarray, second: np.ndarray, options: GeometryOptions
) -> tuple[np.ndarray | None, np.ndarray]:
    estimate, threshold = {
        "homography": (poselib.estimate_homography, "max_reproj_error"),
        "fundamental": (poselib.estimate_fundamental, "max_epipolar_error"),
    }[options.model]
    transform, report = estimate(
        first,
        second,
        {
            threshold: options.threshold,
            "max_iterations": _ITERATIONS,
            "min_iterations": 100,
            "success_prob": _CONFIDENCE,
            "seed": options.seed,
        },
        {},
    )
    return transform, np.array(report["inliers"], bool)


def _with_opencv(
    first: np.ndarray, second: np.ndarray, options: GeometryOptions
) -> tuple[np.ndarray | None, np.ndarray]:
    settings = cv2.UsacParams()
    settings.threshold = options.threshold
    settings.confidence = _CONFIDENCE
    settings.maxIterations = _ITERATIONS
    settings.randomGeneratorState = options.seed
    settings.sampler = cv2.SAMPLING_UNIFORM
    settings.score = cv2.SCORE_METHOD_MAGSAC
    settings.loMethod = cv2.LOCAL_OPTIM_SIGMA
    settings.final_polisher = cv2.MAGSAC
    estimate: Callable = {
        "homography": cv2.findHomography,
        "affine": cv2.estimateAffine2D,
        "fundamental": cv2.findFundamentalMat,
    }[options.model]
    transform, mask = estimate(first, second, settings)
    if transform is None:
        return None, np.zeros(len(first), bool)
    if options.model == "affine":
        transform = np.vstack([transform, [0.0, 0.0, 1.0]])
    # OpenCV 4 has (matches, 1) where OpenCV 5 may have (matches,).
    return transform, np.ravel(mask).astype(bool)


def _are_on_a_line(points: np.ndarray, width: float) -> bool:
    """Returns whether points lie on a strip that is too narrow to tell."""
    centred = points - points.mean(axis=0)
    deviation = np.linalg.svd(centred, compute_uv=False)[-1]
    return deviation / np.sqrt(len(points)) < width

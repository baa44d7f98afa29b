"""Matches of rendered photos, whose true homographies are known.

    python experiments/benchmarks/known_homographies.py xfeat,rootsift,RUN

Pairs of views of one building with at least 30 % in common. Per kind of
features, or workdir of a run whose local features are taken, ratio test and
threshold of an inlier:

- MMA: share of the mutual nearest neighbours within 1, 3 and 5 pixels of the
  true place;
- precision: share of the inliers within 5 pixels of the true place;
- corners: share of pairs whose homography puts the corners of the building's
  visible box within 5 and 10 pixels of their true places, on average.

Pixels are those of photos of 512 pixels.
"""

import itertools
import pathlib
import sys

import numpy as np
from measuring import print_table

from agem_tf import rendered_landmarks
from agem_tf.distribution.strategies import create_strategy
from agem_tf.extraction.local_extractor import Selection
from agem_tf.extraction.single_scale import single_scale_extractor
from agem_tf.rendered_landmarks.camera import apply_homography
from agem_tf.retrieval.geometry_options import GeometryOptions
from agem_tf.retrieval.local_matching import match_features
from agem_tf.retrieval.photo_geometry import verify
from agem_tf.training import runs

SIZE, COUNT, BUILDINGS, PHOTOS, SEED = 512, 1000, 8, 6, 5
RATIOS = (1.0, 0.95, 0.9)
THRESHOLDS = (2.0, 4.0, 6.0, 8.0, 12.0, 20.0)
# Keypoints are at the centres of pixels, which the renderer puts at 0.5.
TO_CORNERS = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])


def render_pairs():
    """Yields pairs of photos of one building that share a part of it."""
    for building in range(BUILDINGS):
        landmark = rendered_landmarks.make_landmark(SEED, building)
        photos = [
            rendered_landmarks.render(landmark, index, SIZE)
            for index in range(PHOTOS)
        ]
        for first, second in itertools.combinations(photos, 2):
            if rendered_landmarks.overlap(first.view, second.view) >= 0.3:
                yield first, second


def true_homography(first, second):
    """Maps keypoints of the first photo to the second."""
    between = second.view.homography @ np.linalg.inv(first.view.homography)
    return np.linalg.inv(TO_CORNERS) @ between @ TO_CORNERS


def distances(homography, first, second):
    return np.linalg.norm(apply_homography(homography, first) - second, axis=1)


def corner_error(found, truth, box):
    if found is None:
        return np.inf
    x1, y1, x2, y2 = box
    corners = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]])
    places = apply_homography(truth, corners)
    return distances(found, corners, places).mean()


def extractor_of(kind):
    """Returns an extractor of a kind, or of the run in a directory."""
    if not pathlib.Path(kind).is_dir():
        return single_scale_extractor(kind, COUNT)
    run = runs.open_run(kind, create_strategy("one"))
    run = run.with_settings(image_size=SIZE)
    return run.local_extractor(selection=Selection(COUNT))


def rows(kind, pairs):
    extractor = extractor_of(kind)
    found = {}
    for photo in itertools.chain.from_iterable(pairs):
        if id(photo) not in found:
            (found[id(photo)],) = extractor.features([photo.image])
    features = [(found[id(one)], found[id(other)]) for one, other in pairs]
    truths = [true_homography(*pair) for pair in pairs]
    errors = []
    for (first, second), truth in zip(features, truths, strict=True):
        matches = match_features(first, second)
        errors.append(
            distances(
                truth,
                first.keypoints[matches[:, 0]],
                second.keypoints[matches[:, 1]],
            )
        )
    accuracy = [
        100 * np.mean([np.mean(each < pixels) for each in errors])
        for pixels in (1, 3, 5)
    ]
    for ratio, threshold in itertools.product(RATIOS, THRESHOLDS):
        options = GeometryOptions(threshold=threshold, ratio=ratio)
        precision, corners, inliers = [], [], []
        for pair, (first, second), truth in zip(
            pairs, features, truths, strict=True
        ):
            result = verify(first, second, options)
            matches = result.matches[result.is_inlier]
            inliers.append(len(matches))
            if len(matches):
                precision.append(
                    np.mean(
                        distances(
                            truth,
                            first.keypoints[matches[:, 0]],
                            second.keypoints[matches[:, 1]],
                        )
                        < 5
                    )
                )
            corners.append(
                corner_error(result.transform, truth, pair[0].view.box)
            )
        corners = np.array(corners)
        yield {
            "features": kind,
            "MMA 1 / 3 / 5 px": " / ".join(f"{each:.0f}" for each in accuracy),
            "ratio": ratio,
            "threshold": threshold,
            "inliers": f"{np.median(inliers):.0f}",
            "precision": f"{100 * np.mean(precision):.0f}",
            "corners 5 / 10 px": f"{100 * np.mean(corners < 5):.0f} / "
            f"{100 * np.mean(corners < 10):.0f}",
        }


if __name__ == "__main__":
    rendered = list(render_pairs())
    print(f"{len(rendered)} pairs")
    print_table(
        row for kind in sys.argv[1].split(",") for row in rows(kind, rendered)
    )

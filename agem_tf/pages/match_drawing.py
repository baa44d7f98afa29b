"""Matches of two photos, drawn over the photos side by side."""

import cv2
import matplotlib
import numpy as np
from PIL import Image

from agem_tf.descriptors.local_features import LocalFeatures
from agem_tf.retrieval.photo_geometry import VerifiedMatches

# Largest sides of each photo in the picture.
_SIDE = 720
_GAP = 12
_OUTLIER = (150, 150, 150)
_OUTLINE = (255, 196, 0)


def draw_matches(
    photos: tuple[np.ndarray, np.ndarray],
    features: tuple[LocalFeatures, LocalFeatures],
    verified: VerifiedMatches,
    outline: bool = True,
) -> Image.Image:
    """Draws two photos side by side, with a line for every inlier.

    The colour of a line follows its place from left to right in the first
    photo. Matches that are no inliers are grey points.

    Args:
        photos: two photos, (height, width, 3) uint8 RGB.
        features: their features.
        verified: their matches.
        outline: whether to draw where the transform puts the border of the
            first photo into the second; not for a fundamental matrix.
    """
    factors = [min(1.0, _SIDE / max(photo.shape[:2])) for photo in photos]
    small = [
        cv2.resize(
            photo,
            [max(1, round(side * factor)) for side in photo.shape[1::-1]],
            interpolation=cv2.INTER_AREA,
        )
        for photo, factor in zip(photos, factors, strict=True)
    ]
    height = max(photo.shape[0] for photo in small)
    offset = small[0].shape[1] + _GAP
    canvas = np.full((height, offset + small[1].shape[1], 3), 255, np.uint8)
    canvas[: small[0].shape[0], : small[0].shape[1]] = small[0]
    canvas[: small[1].shape[0], offset:] = small[1]
    first, second = (
        each.keypoints[verified.matches[:, side]] * factors[side]
        for side, each in enumerate(features)
    )
    if outline and verified.transform is not None:
        _draw_outline(
            canvas[: small[1].shape[0], offset:],
            features[0].size,
            np.diag([factors[1], factors[1], 1]) @ verified.transform,
        )
    second = second + [offset, 0]
    for points in (first, second):
        for x, y in np.round(points[~verified.is_inlier]).astype(int):
            cv2.circle(canvas, (x, y), 1, _OUTLIER, -1, cv2.LINE_AA)
    colors = matplotlib.colormaps["turbo"]
    for start, end in zip(
        np.round(first[verified.is_inlier]).astype(int).tolist(),
        np.round(second[verified.is_inlier]).astype(int).tolist(),
        strict=True,
    ):
        level = start[0] / small[0].shape[1]
        color = [round(255 * part) for part in colors(level)[:3]]
        cv2.line(canvas, start, end, color, 1, cv2.LINE_AA)
        for point in (start, end):
            cv2.circle(canvas, point, 2, color, -1, cv2.LINE_AA)
    return Image.fromarray(canvas)


def _draw_outline(
    canvas: np.ndarray, size: tuple[int, int], transform: np.ndarray
) -> None:
    """Draws the border of a photo where a transform puts it."""
    height, width = size
    corners = np.array(
        [[0, 0, 1], [width, 0, 1], [width, height, 1], [0, height, 1]]
    )
    mapped = corners @ transform.T
    # Behind the camera, or so far away that lines would overflow.
    if (mapped[:, 2] <= 0).any():
        return
    mapped = mapped[:, :2] / mapped[:, 2:]
    if np.abs(mapped).max() > 1e5:
        return
    polygon = np.ascontiguousarray(canvas)
    cv2.polylines(
        polygon, [np.round(mapped).astype(np.int32)], True, _OUTLINE, 2
    )
    canvas[:] = polygon

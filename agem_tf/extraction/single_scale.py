"""Local features of pretrained and classical kinds, at one scale of the photo.

The photo is upright RGB, its longer side is bounded, and keypoints are in
pixels of the photo at its own size. Needs no TensorFlow, unless the kind does.
"""

import abc
import dataclasses
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from agem_tf import registry
from agem_tf.descriptors.linear_whitening import LinearWhitening
from agem_tf.descriptors.local_features import LEAST_PHOTO_SIDE, LocalFeatures
from agem_tf.files.provenance import check_same_provenance


class SingleScaleExtractor(abc.ABC):
    """Base class of a `local_extractor.LocalExtractor` at one scale.

    Args:
        most: most features per photo; those of the highest scores are kept.
        side: pixels of the longer side that larger photos are scaled down to.
    """

    # Name, dimension of the descriptors, and a number that the sides of the
    # scaled photo are multiples of.
    name: str
    dimension: int
    multiple = 1

    def __init__(self, most: int = 1000, side: int = 1024) -> None:
        self.most, self.side = most, side

    @property
    def provenance(self) -> dict[str, Any]:
        """Settings that identify the features; see `files.provenance`."""
        return {
            "model": self.name,
            "image": {"size": self.side},
            "scales": None,
            "whitening": None,
            "most": self.most,
        }

    @abc.abstractmethod
    def detect(self, pixels: np.ndarray) -> LocalFeatures:
        """Returns the features of a scaled photo, in any order.

        Args:
            pixels: (height, width, 3) uint8 RGB.
        """

    def features(self, photos: Sequence[np.ndarray]) -> list[LocalFeatures]:
        """Returns the features of photos, best first.

        Args:
            photos: (height, width, 3) uint8 RGB each, upright, of any sizes.
        """
        return [self._features_of(photo) for photo in photos]

    def _features_of(self, pixels: np.ndarray) -> LocalFeatures:
        height, width = size = pixels.shape[:2]
        if min(size) < LEAST_PHOTO_SIDE:
            return LocalFeatures.none(self.dimension, size)
        factor = min(1.0, self.side / max(size))
        scaled = [
            max(1, round(edge * factor / self.multiple)) * self.multiple
            for edge in size
        ]
        if scaled != [height, width]:
            is_smaller = scaled[0] * scaled[1] < height * width
            method = cv2.INTER_AREA if is_smaller else cv2.INTER_LINEAR
            pixels = cv2.resize(pixels, scaled[::-1], interpolation=method)
        found = self.detect(pixels)
        ratios = np.array([width / scaled[1], height / scaled[0]], np.float32)
        return LocalFeatures(
            # Centres of pixels: the first is at 0, its corner at -0.5.
            (found.keypoints + 0.5) * ratios - 0.5,
            found.descriptors,
            found.scores,
            found.scales * ratios.mean(),
            size,
        ).strongest(self.most)


class WhitenedExtractor:
    """Whitens the features of another `local_extractor.LocalExtractor`.

    Args:
        extractor: extractor of features that are not whitened.
        whitening: learned from features with the same settings.

    Raises:
        UserError: the whitening belongs to other features or settings.
    """

    def __init__(
        self, extractor: SingleScaleExtractor, whitening: LinearWhitening
    ) -> None:
        check_same_provenance(
            whitening.provenance,
            extractor.provenance,
            "the whitening",
            "the local features",
        )
        self._extractor, self._whitening = extractor, whitening
        self.dimension = whitening.output_dimension()
        self.provenance = extractor.provenance | {
            "whitening": whitening.label()
        }

    def features(self, photos: Sequence[np.ndarray]) -> list[LocalFeatures]:
        """See `SingleScaleExtractor.features`."""
        return [
            dataclasses.replace(
                found, descriptors=self._whitening.apply(found.descriptors)
            )
            for found in self._extractor.features(photos)
        ]


def single_scale_extractor(
    name: str,
    most: int = 1000,
    side: int = 1024,
    whitening: LinearWhitening | None = None,
) -> SingleScaleExtractor | WhitenedExtractor:
    """Returns an extractor of a kind of `registry.LOCAL_FEATURES`.

    Args:
        name: name of the kind.
        most, side: see `SingleScaleExtractor`.
        whitening: applied to the features, if given.

    Raises:
        UserError: the weights of the kind are not installed, or the whitening
            belongs to other features or settings.
    """
    extractor = registry.factory("local_features", name)(most, side)
    if whitening is None:
        return extractor
    return WhitenedExtractor(extractor, whitening)

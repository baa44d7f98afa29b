"""Local features of photos, by a network."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from agem_tf.config import ExtractionConfig, ImageConfig
from agem_tf.descriptors.linear_whitening import LinearWhitening
from agem_tf.descriptors.local_features import (
    LEAST_PHOTO_SIDE,
    LocalFeatures,
)
from agem_tf.extraction.identity import provenance
from agem_tf.extraction.local_pyramid import LocalPyramid
from agem_tf.files.provenance import check_same_provenance
from agem_tf.models import AGeM
from agem_tf.photos.decoding import resize_aspect

# Scales of the paper, each half as many pixels as the next.
DELF_SCALES = (0.25, 0.3536, 0.5, 0.7071, 1.0, 1.4142, 2.0)
# Pixels of a batch at its largest scale.
_BATCH_PIXELS = 2**22


class LocalExtractor(Protocol):
    """Extracts the local features of photos.

    Attributes:
        dimension: Dimension of the descriptors.
        provenance: How the features are made; see `files.provenance`.
    """

    dimension: int
    provenance: dict[str, Any]

    def features(self, photos: Sequence[np.ndarray]) -> list[LocalFeatures]:
        """Returns the features of photos (height, width, 3) uint8 RGB."""


@dataclasses.dataclass(frozen=True)
class Selection:
    """Selection of the features of a photo that are kept.

    Attributes:
        most: Most features per photo, those of the highest scores.
        score_threshold: Least score. Scores of two trained networks are not
            comparable, so neither are thresholds.
        iou: Intersection over union above which the box of a lower score is
            dropped; 1 keeps all.
    """

    most: int = 1000
    score_threshold: float = 0.0
    iou: float = 1.0


BEST_THOUSAND = Selection()


class DelfExtractor:
    """Extracts the local features of a network; see `LocalExtractor`.

    They are those of `model.local_network()`: of a `DELF` and of a network with
    a local branch by attention, of others by the norms of the pooled map.

    Photos keep their proportions, and their longer side becomes
    `image.size`, unless it is smaller.

    Args:
        model: The network.
        image: How photos are resized.
        scales: Factors on the sides of the resized photos.
        selection: Which features are kept.
        whitening: PCA of the features, learned with the same settings.

    Raises:
        UserError: The whitening belongs to another model or other settings.
    """

    def __init__(
        self,
        model: AGeM,
        image: ImageConfig,
        scales: Sequence[float] = DELF_SCALES,
        selection: Selection = BEST_THOUSAND,
        whitening: LinearWhitening | None = None,
    ):
        self._image = local_image(image)
        self._scales, self._selection = tuple(scales), selection
        self.provenance = checked_local_provenance(
            model, image, self._scales, whitening
        ) | {"selection": dataclasses.asdict(selection)}
        self._pyramid = LocalPyramid(model, whitening)
        self.dimension = self._pyramid.dimension
        # Photos of any shape, without a new trace for each.
        self._maps = tf.function(
            self._pyramid.maps,
            input_signature=[
                tf.TensorSpec((None, None, None, 3), tf.float32),
                tf.TensorSpec((None,), tf.float32),
                tf.TensorSpec((2,), tf.int32),
            ],
        )

    def features(self, photos: Sequence[np.ndarray]) -> list[LocalFeatures]:
        """Returns the features of photos, of any sizes.

        Args:
            photos: (height, width, 3) uint8 RGB each, upright.
        """
        shapes = [photo.shape[:2] for photo in photos]
        results: list[LocalFeatures] = [
            LocalFeatures.none(self.dimension, shape) for shape in shapes
        ]
        for shape in sorted(set(shapes)):
            if min(shape) < LEAST_PHOTO_SIDE:
                continue
            members = [i for i, other in enumerate(shapes) if other == shape]
            resized = tf.stack([self._resized(photos[i]) for i in members])
            pixels = np.prod(resized.shape[1:3]) * max(self._scales) ** 2
            step = max(1, int(_BATCH_PIXELS // pixels))
            for start in range(0, len(members), step):
                part = members[start : start + step]
                batch = resized[start : start + step]
                maps = self._maps(batch, self._scales, shape)
                for row, member in enumerate(part):
                    results[member] = self._selected(maps, row, shape)
        return results

    def _resized(self, photo: np.ndarray) -> tf.Tensor:
        image = self._image
        resized = resize_aspect(
            photo, image.size, image.enlarge, image.interpolation
        )
        return tf.cast(resized, tf.float32)

    def _selected(self, maps, row, shape) -> LocalFeatures:
        selection = self._selection
        found = self._pyramid.select(
            maps,
            row,
            selection.most,
            selection.score_threshold,
            selection.iou,
        )
        side, size = max(shape), self._image.size
        reduction = side / (size if self._image.enlarge else min(side, size))
        return LocalFeatures(
            found["locations"].numpy()[:, ::-1],
            found["descriptors"].numpy(),
            found["scores"].numpy(),
            reduction * found["scales"].numpy(),
            shape,
        )


def local_image(image: ImageConfig) -> ImageConfig:
    """Returns how photos are resized for local features: not stretched."""
    return dataclasses.replace(image, resize="aspect", buckets=())


def checked_local_provenance(
    model: AGeM,
    image: ImageConfig,
    scales: Sequence[float],
    whitening: LinearWhitening | None = None,
) -> dict[str, Any]:
    """Returns what decides whether local features may be compared.

    Args:
        model: The network.
        image: How photos are resized.
        scales: Factors on the sides of the resized photos.
        whitening: Applied to the features, if given.

    Raises:
        UserError: The whitening belongs to another model or other settings.
    """
    settings = ExtractionConfig(scales=tuple(scales))
    made = provenance(model, local_image(image), settings)
    if whitening is None:
        return made
    check_same_provenance(
        whitening.provenance, made, "the whitening", "the model"
    )
    return made | {"whitening": whitening.label()}

"""Attention maps and keypoints of a model, drawn over photos of a dataset."""

from collections.abc import Sequence

import keras
import matplotlib
import numpy as np
from PIL import Image, ImageDraw

from agem_tf.config import ImageConfig
from agem_tf.datasets.photo_pipeline import PhotoPipeline
from agem_tf.datasets.prepared import Split
from agem_tf.descriptors.local_features import LocalFeatures
from agem_tf.evaluation.results import evenly_spaced
from agem_tf.extraction.local_extractor import DelfExtractor, Selection
from agem_tf.models import DELF, AGeM
from agem_tf.pages.contact_sheet import contact_sheet
from agem_tf.pages.report import Picture

_DRAWN_KEYPOINTS = 100


def attention_pictures(
    model: AGeM, split: Split, image: ImageConfig, count: int = 8
) -> list[Picture]:
    """Draws the attention over evenly spaced photos, each beside its photo.

    Of a `DELF`, the keypoints that it selects are drawn too.
    """
    indices = evenly_spaced(len(split), count)
    photos = load_squares(split, image, indices)
    panels = [photos, draw_attention(model, photos)]
    if isinstance(model, DELF):
        selection = Selection(most=_DRAWN_KEYPOINTS)
        extractor = DelfExtractor(model, image, selection=selection)
        found = extractor.features(list(photos))
        panels.append(list(map(draw_keypoints, photos, found)))
    return [
        Picture(
            contact_sheet(list(pictures), columns=len(panels)),
            caption=split.names[index],
        )
        for index, *pictures in zip(indices, *panels, strict=True)
    ]


def draw_attention(model: AGeM, photos: np.ndarray) -> list[np.ndarray]:
    """Lays the model's attention over photos.

    Args:
        model: network; see `AGeM.attention_maps`.
        photos: (photos, height, width, 3) uint8.

    Returns:
        (height, width, 3) uint8 for each photo.
    """
    maps = keras.ops.convert_to_numpy(
        model.attention_maps(photos.astype(np.float32))
    )
    return [
        overlay(photo, heat) for photo, heat in zip(photos, maps, strict=True)
    ]


def draw_keypoints(photo: np.ndarray, features: LocalFeatures) -> np.ndarray:
    """Draws a circle per feature, larger for a higher score.

    Args:
        photo: (height, width, 3) uint8 RGB.
        features: Its local features.

    Returns:
        (height, width, 3) uint8.
    """
    drawing = Image.fromarray(photo)
    pen = ImageDraw.Draw(drawing)
    largest = max(photo.shape[:2]) / 25
    shares = features.scores / max(features.scores.max(initial=0), 1e-12)
    for (x, y), share in zip(features.keypoints, shares, strict=True):
        radius = max(1.0, largest * float(share))
        pen.ellipse(
            (x - radius, y - radius, x + radius, y + radius), outline="yellow"
        )
    return np.asarray(drawing)


def load_squares(
    split: Split, image: ImageConfig, indices: Sequence[int]
) -> np.ndarray:
    """Loads photos stretched to (photos, size, size, 3) uint8."""
    pipeline = PhotoPipeline(split, ImageConfig(image.size, "square"))
    with pipeline.errors_named():
        elements = pipeline.photos(np.asarray(indices)).as_numpy_iterator()
        return np.stack([element["image"] for element in elements])


def overlay(
    photo: np.ndarray, heat: np.ndarray, opacity: float = 0.7
) -> np.ndarray:
    """Lays a heat map over a photo.

    The map is stretched to its own range, so colours compare places of one
    photo, not photos. A constant map shows no colour.

    Args:
        photo: (height, width, 3) uint8 RGB.
        heat: (rows, columns) of any finite range, enlarged bilinearly.
        opacity: opacity at the hottest place, 0 to 1; the coldest is
            transparent.

    Returns:
        (height, width, 3) uint8.
    """
    heat = np.asarray(heat, np.float32)
    low, high = heat.min(), heat.max()
    # A range within rounding errors is noise, not attention.
    if high - low <= 1e-6 * max(abs(low), abs(high)):
        heat = np.zeros_like(heat)
    else:
        heat = (heat - low) / (high - low)
    enlarged = Image.fromarray(heat).resize(
        photo.shape[1::-1], Image.Resampling.BILINEAR
    )
    level = np.clip(np.asarray(enlarged), 0, 1)
    colors = matplotlib.colormaps["inferno"](level)[..., :3] * 255
    weight = opacity * level[..., np.newaxis]
    return np.round((1 - weight) * photo + weight * colors).astype(np.uint8)

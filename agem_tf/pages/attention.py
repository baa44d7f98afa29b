"""Attention maps of a model, drawn over photos of a dataset."""

from collections.abc import Sequence

import keras
import matplotlib
import numpy as np
from PIL import Image

from agem_tf.config import ImageConfig
from agem_tf.datasets.photo_pipeline import PhotoPipeline
from agem_tf.datasets.prepared import Split
from agem_tf.evaluation.results import evenly_spaced
from agem_tf.models import AGeM
from agem_tf.pages.contact_sheet import contact_sheet
from agem_tf.pages.report import Picture


def attention_pictures(
    model: AGeM, split: Split, image: ImageConfig, count: int = 8
) -> list[Picture]:
    """Draws the attention over evenly spaced photos, each beside its photo."""
    indices = evenly_spaced(len(split), count)
    photos = load_squares(split, image, indices)
    overlays = draw_attention(model, photos)
    return [
        Picture(
            contact_sheet([photo, drawn], columns=2),
            caption=split.names[index],
        )
        for index, photo, drawn in zip(indices, photos, overlays, strict=True)
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

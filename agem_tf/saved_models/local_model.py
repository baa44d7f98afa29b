"""Export of DELF with the signature of the published TensorFlow Hub module.

A client of https://tfhub.dev/google/delf/1 runs it unchanged:

    delf = hub.load(directory).signatures["default"]
    result = delf(
        image=image,  # (height, width, 3) float32 in [0, 1]
        score_threshold=tf.constant(0.0),
        image_scales=tf.constant([0.25, 0.3536, 0.5, 0.7071, 1.0, 1.4142, 2.0]),
        max_feature_num=tf.constant(1000),
    )

The result has "boxes" (n, 4), the receptive fields y0, x0, y1, x1 in pixels;
"locations" (n, 2), their centres y, x; "scales" (n,), the inverse of the scale
at which a feature was found; "scores" (n,); "features" (n, channels), the
positions of the map; and "descriptors" (n, dimension), normalized and, with a
whitening, reduced. All are float32, the best feature first; n may be 0.

Scores of two trained networks are not comparable: the threshold 100 of the
published module keeps nothing of most others. Pass 0 and let max_feature_num
select.
"""

import os
import pathlib
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from agem_tf.config import ImageConfig
from agem_tf.descriptors.linear_whitening import LinearWhitening
from agem_tf.extraction.local_extractor import (
    DELF_SCALES,
    checked_local_provenance,
)
from agem_tf.extraction.local_pyramid import LocalPyramid
from agem_tf.files.atomic_writing import atomic_directory
from agem_tf.files.manifest import write_manifest
from agem_tf.models import DELF
from agem_tf.saved_models.retrieval_model import KIND
from agem_tf.saved_models.warmup import write_warmup


def export_local_model(
    model: DELF,
    directory: str | os.PathLike,
    image: ImageConfig,
    scales: Sequence[float] = DELF_SCALES,
    whitening: LinearWhitening | None = None,
) -> pathlib.Path:
    """Writes a SavedModel that computes what `DelfExtractor` computes.

    A client chooses scales and resizes its photos; `image` and `scales` are
    those that the whitening was learned with.

    Args:
        model: The network.
        directory: Replaced as a whole if it holds an earlier export.
        image: How photos are resized in extraction.
        scales: Factors on the sides of the resized photos in extraction.
        whitening: PCA of the features, if given.

    Returns:
        The directory.

    Raises:
        UserError: The whitening belongs to another model or other settings, or
            the directory holds other files.
    """
    made = checked_local_provenance(model, image, scales, whitening)
    pyramid = LocalPyramid(model, whitening)

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, None, 3), tf.float32, "image"),
            tf.TensorSpec((), tf.float32, "score_threshold"),
            tf.TensorSpec((None,), tf.float32, "image_scales"),
            tf.TensorSpec((), tf.int32, "max_feature_num"),
        ]
    )
    def describe(image, score_threshold, image_scales, max_feature_num):
        maps = pyramid.maps(
            255.0 * image[tf.newaxis], image_scales, tf.shape(image)[:2]
        )
        return pyramid.select(maps, 0, max_feature_num, score_threshold)

    root = tf.train.Checkpoint()
    root.variables = [
        variable.value
        for variable in (*model.variables, *pyramid.whitening_variables)
    ]
    root.describe = describe
    with atomic_directory(directory, KIND) as temporary:
        tf.saved_model.save(
            root, str(temporary), signatures={"default": describe}
        )
        pixels = np.full((64, 64, 3), 0.5, np.float32)
        request = {
            "image": pixels,
            "score_threshold": np.float32(0),
            "image_scales": np.ones(1, np.float32),
            "max_feature_num": np.int32(1),
        }
        write_warmup(temporary, {"default": request})
        write_manifest(temporary, KIND, provenance=made)
    return pathlib.Path(directory)

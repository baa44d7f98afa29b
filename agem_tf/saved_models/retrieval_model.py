"""Export: one SavedModel for every consumer.

The same directory is read by tf.saved_model.load, keras.layers.TFSMLayer,
TensorFlow Hub's reusable interface and, through its named signatures, by
TensorFlow Serving; none of them needs this package.

Signatures:
    serving_default: images (batch, height, width, 3) float32 RGB in [0, 255]
        -> descriptors (batch, dimension) float32.
    encoded_images: encoded_images (batch,) strings, each a JPEG or PNG
        -> descriptors; photos are resized as the recipe says.
    encoded_crops: the same photos and boxes (batch, 4) float32, x1, y1, x2, y2
        in pixels of the photo as it decodes, zeros for the whole photo
        -> descriptors of what is inside the boxes.
"""

import dataclasses
import pathlib
from typing import Any

import numpy as np
import tensorflow as tf

from agem_tf.config import ExtractionConfig, ImageConfig
from agem_tf.descriptors.linear_whitening import LinearWhitening
from agem_tf.extraction.extractor import provenance
from agem_tf.extraction.pyramid import Describer, describe, multi_scale_power
from agem_tf.files.atomic_writing import atomic_directory
from agem_tf.files.manifest import write_manifest
from agem_tf.files.provenance import check_same_provenance
from agem_tf.models import AGeM
from agem_tf.ops.normalization import l2_normalize
from agem_tf.photos import decoding

KIND = "saved_model"


def export_model(
    model: AGeM,
    directory: str | pathlib.Path,
    image: ImageConfig,
    extraction: ExtractionConfig,
    whitening: LinearWhitening | None = None,
    dimension: int | None = None,
) -> pathlib.Path:
    """Writes a SavedModel that computes what `Extractor` computes.

    Args:
        model: with the weights to export.
        directory: replaced as a whole if it holds an earlier export.
        image: how encoded photos are resized.
        extraction: at which scales photos are described.
        whitening: applied to the descriptors, if given.
        dimension: that the whitening keeps; all of its own by default.

    Returns:
        The directory.

    Raises:
        UserError: the whitening is of another model or other settings or has
            fewer dimensions, or the directory holds other files.
    """
    directory = pathlib.Path(directory)
    made = exported_provenance(model, image, extraction, whitening, dimension)
    root = _Exported(model, image, extraction, whitening, dimension)
    with atomic_directory(directory) as temporary:
        tf.saved_model.save(
            root,
            str(temporary),
            signatures={
                "serving_default": root.describe_images,
                "encoded_images": root.describe_encoded,
                "encoded_crops": root.describe_crops,
            },
        )
        write_manifest(temporary, KIND, provenance=made)
    return directory


def exported_provenance(
    model: AGeM,
    image: ImageConfig,
    extraction: ExtractionConfig,
    whitening: LinearWhitening | None = None,
    dimension: int | None = None,
) -> dict[str, Any]:
    """How the descriptors of an exported model are made.

    Arguments and errors are those of `export_model`.
    """
    made = provenance(model, image, extraction)
    if whitening is not None:
        check_same_provenance(
            whitening.provenance, made, "the whitening", "the model"
        )
        made["whitening"] = whitening.label(dimension)
    return made


class _Exported(tf.train.Checkpoint):
    """The object that is saved.

    A plain Checkpoint rather than a tf.Module, whose own `variables` would not
    be saved; TensorFlow Hub looks for the attributes set here.
    """

    def __init__(
        self,
        model: AGeM,
        image: ImageConfig,
        extraction: ExtractionConfig,
        whitening: LinearWhitening | None,
        dimension: int | None,
    ):
        super().__init__()
        self.variables = [v.value for v in model.variables]
        self.trainable_variables = [v.value for v in model.trainable_variables]
        self.regularization_losses = []
        scales = extraction.scales
        power = multi_scale_power(model, len(scales))
        # Here shapes need not be static, and canvases change no descriptor.
        describe_photos = Describer(
            model, dataclasses.replace(image, buckets=()), scales
        )

        def postprocess(descriptors):
            if whitening is None:
                return descriptors
            return _whiten(descriptors, whitening, dimension)

        @tf.function(input_signature=[_IMAGES])
        def describe_images(images):
            descriptors = describe(model, images, None, scales, power)
            return {"descriptors": postprocess(descriptors)}

        @tf.function(input_signature=[_ENCODED, _BOXES])
        def describe_crops(encoded_images, boxes):
            pixels, valid = tf.map_fn(
                lambda crop: _load(*crop, image),
                (encoded_images, boxes),
                fn_output_signature=(tf.uint8, tf.int32),
            )
            descriptors = describe_photos(pixels, valid, power)
            return {"descriptors": postprocess(descriptors)}

        @tf.function(input_signature=[_ENCODED])
        def describe_encoded(encoded_images):
            whole = tf.zeros((tf.shape(encoded_images)[0], 4))
            return describe_crops(encoded_images, whole)

        @tf.function
        def call(images, training=False):
            descriptors = describe(
                model, images, None, scales, power, training=training
            )
            return postprocess(descriptors)

        for training in (False, True):
            call.get_concrete_function(_IMAGES, training=training)
        self.describe_images = describe_images
        self.describe_crops = describe_crops
        self.describe_encoded = describe_encoded
        self.__call__ = call


_IMAGES = tf.TensorSpec((None, None, None, 3), tf.float32, name="images")
_ENCODED = tf.TensorSpec((None,), tf.string, name="encoded_images")
_BOXES = tf.TensorSpec((None, 4), tf.float32, name="boxes")


def _load(encoded: tf.Tensor, box: tf.Tensor, image: ImageConfig):
    photo = decoding.photo_on_canvas(encoded, image, box)
    return photo["image"], photo["valid"]


def _whiten(
    descriptors: tf.Tensor, whitening: LinearWhitening, dimension: int | None
) -> tf.Tensor:
    mean = tf.constant(whitening.mean.astype(np.float32))
    kept = whitening.projection[:dimension]
    projection = tf.constant(kept.astype(np.float32))
    return l2_normalize((descriptors - mean) @ tf.transpose(projection))

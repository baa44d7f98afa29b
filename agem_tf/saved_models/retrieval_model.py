"""Export of a retrieval network: one SavedModel for every consumer.

tf.saved_model.load, keras.layers.TFSMLayer, TensorFlow Hub's reusable interface
and TensorFlow Serving read the same directory; none of them needs this package.

Signatures:
    serving_default: images (batch, height, width, 3) float32 RGB in [0, 255]
        -> descriptors (batch, dimension) float32.
    encoded_images: encoded_images (batch,) strings, each a JPEG or PNG
        -> descriptors, and status (batch,) int32, a `PhotoStatus`: 0 valid, 1
        unreadable, 2 unsupported format, 3 too many bytes, 4 too many pixels, 5
        too many scans. The descriptor of a photo that is not valid is zero, and
        the others do not depend on it. Photos are turned as their EXIF
        orientation says, and resized as the recipe says.
    encoded_crops: encoded_images and boxes (batch, 4) float32, x1, y1, x2, y2
        in pixels of the upright photo, zeros for the whole photo
        -> descriptors of the contents of the boxes, and status.
    attention: images, as above
        -> maps (batch, map height, map width) float32, where the network looks;
        see `AGeM.attention_maps`.
"""

import copy
import dataclasses
import functools
import inspect
import os
import pathlib
from collections.abc import Callable
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf

from agem_tf.config import ExtractionConfig, ImageConfig
from agem_tf.descriptors.linear_whitening import LinearWhitening
from agem_tf.errors import UserError, cause
from agem_tf.extraction.folding import merged
from agem_tf.extraction.identity import provenance
from agem_tf.extraction.photo_files import FileExtractor
from agem_tf.extraction.pyramid import ScalePyramid
from agem_tf.files.atomic_writing import atomic_directory
from agem_tf.files.locations import Location, as_location
from agem_tf.files.manifest import read_manifest, write_manifest
from agem_tf.files.provenance import check_same_provenance
from agem_tf.layers import Whitening
from agem_tf.models import AGeM
from agem_tf.models.card import CARD, write_card
from agem_tf.ops.normalization import l2_normalize
from agem_tf.photos.screening import decode_valid
from agem_tf.saved_models.graph_operations import check_operations
from agem_tf.saved_models.warmup import write_warmup

KIND = "saved_model"
_SIGNATURE, _ATTENTION = "encoded_crops", "attention"

_IMAGES = tf.TensorSpec((None, None, None, 3), tf.float32, name="images")
_ENCODED = tf.TensorSpec((None,), tf.string, name="encoded_images")
_BOXES = tf.TensorSpec((None, 4), tf.float32, name="boxes")

_BODY = """\
A SavedModel that turns photos into L2-normalized descriptors of {dimension}
components. It needs TensorFlow only.

```python
model = tf.saved_model.load("DIRECTORY")
serve = model.signatures["encoded_images"]
serve(encoded_images=tf.constant([jpeg_bytes]))["descriptors"]
```

Network: {model}. Scales of the photos: {scales}. Whitening: {whitening}.
"""


def export_model(
    model: AGeM,
    directory: str | os.PathLike,
    image: ImageConfig,
    extraction: ExtractionConfig,
    whitening: LinearWhitening | None = None,
) -> Location:
    """Writes a SavedModel that computes what `Extractor` computes.

    Args:
        model: a model with the weights to export.
        directory: replaced as a whole if it holds an earlier export.
        image: how encoded photos are resized.
        extraction: scales of the photos.
        whitening: applied to the descriptors, if given.

    Returns:
        The directory.

    Raises:
        UserError: the whitening belongs to another model or other settings, or
            the directory holds other files.
    """
    exportable = ExportableModel(model, image, extraction)
    if whitening is not None:
        exportable = exportable.whitened(whitening)
    return exportable.save(directory, for_reuse=True)


def load_exported(directory: str | os.PathLike) -> FileExtractor:
    """Loads a SavedModel of this module.

    Raises:
        UserError: it is missing, altered or of an older version, or its graph
            has operations that no export has.
    """
    model, made = load_checked(directory)
    signature = model.signatures.get(_SIGNATURE)
    if not _has_status(signature):
        raise UserError(
            f"The model {directory} has no signature {_SIGNATURE} with a "
            "status per photo, as one of local features or of an earlier "
            "version; give the export of a run of descriptors, written again "
            "by python -m agem_tf.export."
        )

    # A signature does not keep its model alive.
    def run(signature: str, **inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        try:
            return model.signatures[signature](**inputs)
        except tf.errors.ResourceExhaustedError:
            raise
        except tf.errors.OpError as error:
            raise UserError(
                f"The model {directory} fails ({cause(error)}); export it "
                "again with python -m agem_tf.export."
            ) from error

    return FileExtractor(
        functools.partial(run, _SIGNATURE),
        signature.structured_outputs["descriptors"].shape[-1],
        made,
        functools.partial(run, _ATTENTION)
        if _ATTENTION in model.signatures
        else None,
    )


def _has_status(signature: Callable[..., Any] | None) -> bool:
    """Whether a function maps photos and boxes to descriptors and statuses."""
    if signature is None:
        return False
    _, inputs = signature.structured_input_signature
    outputs = signature.structured_outputs
    if set(inputs) != {"encoded_images", "boxes"} or (
        set(outputs) != {"descriptors", "status"}
    ):
        return False
    descriptors, status = outputs["descriptors"], outputs["status"]
    return (
        (descriptors.dtype, status.dtype) == (tf.float32, tf.int32)
        and (descriptors.shape.rank, status.shape.rank) == (2, 1)
        and bool(descriptors.shape[1])
    )


def load_checked(directory: str | os.PathLike) -> tuple[Any, dict[str, Any]]:
    """Loads any export of this package, and its provenance.

    Raises:
        UserError: it is missing or altered, or its graph has operations that no
            export has.
    """
    made = checked_provenance(directory)
    try:
        model = tf.saved_model.load(os.fspath(directory))
    except MemoryError:
        raise
    # TensorFlow's loader trusts what it reads, and raises any type.
    except Exception as error:
        raise UserError(
            f"{directory} can't be loaded ({cause(error)}); export the model "
            "again with python -m agem_tf.export."
        ) from error
    return model, made


def checked_provenance(directory: str | os.PathLike) -> dict[str, Any]:
    """Returns the provenance of any export of this package, without loading it.

    Raises:
        UserError: it is missing or altered, or its graph has operations that no
            export has.
    """
    manifest = read_manifest(pathlib.Path(directory), KIND, unchecked=(CARD,))
    check_operations(directory)
    return manifest.get("provenance", {})


class ExportableModel:
    """A network from encoded photos to descriptors, in memory and as exported.

    Args:
        model: the network.
        image: how encoded photos are resized.
        extraction: scales of the photos.

    Attributes:
        dimension: dimension of the descriptors.
        provenance: how the descriptors are made; see `files.provenance`.
    """

    def __init__(
        self, model: AGeM, image: ImageConfig, extraction: ExtractionConfig
    ):
        self.dimension = model.dimension
        self.provenance = provenance(model, image, extraction)
        attended = model.attended_network().output
        self._attention_of = model.attention_of
        # One kernel and bias per convolution: fewer variables to save.
        self._model = merged(keras.Model(model.input, [model.output, attended]))
        self._whitening: Whitening | None = None
        # Shapes are dynamic here, and canvases change no descriptor.
        self._image = dataclasses.replace(image, buckets=())

        # A concrete function on several replicas can't be saved.
        self._has_replicas = any(
            isinstance(variable.value, tf.distribute.DistributedValues)
            for variable in self._model.variables
        )
        self._network = (
            tf.function(
                lambda images, training: self._model(images, training=training)
            )
            if self._has_replicas
            else _traced_once(self._model)
        )
        self._pyramid = ScalePyramid(
            model,
            self._image,
            extraction.scales,
            network=lambda images, training: self._run(images, training)[0],
            resize_by=extraction.resize_by,
        )
        self._describe_crops = self._crops_function()

    def whitened(
        self, whitening: LinearWhitening, dimension: int | None = None
    ) -> Self:
        """Returns the same network, followed by a whitening.

        Args:
            whitening: whitening that was learned from descriptors of this
                network.
            dimension: dimension to keep; by default all.

        Raises:
            UserError: the whitening belongs to another model or other
                settings, or has fewer dimensions.
        """
        check_same_provenance(
            whitening.provenance,
            self.provenance,
            "the whitening",
            "the model",
        )
        kept = whitening.output_dimension(dimension)
        result = copy.copy(self)
        result.dimension = kept
        result.provenance = self.provenance | {
            "whitening": whitening.label(dimension)
        }
        result._whitening = Whitening.from_projection(
            whitening.mean, whitening.projection[:kept]
        )
        result._describe_crops = result._crops_function()
        return result

    def extractor(self) -> FileExtractor:
        """Returns an extractor that runs the network in memory."""
        return FileExtractor(
            self._describe_crops, self.dimension, self.provenance
        )

    def save(
        self, directory: str | os.PathLike, for_reuse: bool = False
    ) -> Location:
        """Writes the SavedModel and returns its directory.

        Args:
            directory: replaced as a whole if it holds an earlier export.
            for_reuse: whether to add a card, the warm-up requests of
                TensorFlow Serving, and the callable of TensorFlow Hub's
                reusable interface.

        Raises:
            UserError: the directory holds other files.
        """
        pyramid = self._pyramid

        @tf.function(input_signature=[_IMAGES], autograph=False)
        def describe_images(images):
            return {"descriptors": self._finished(pyramid.descriptors(images))}

        @tf.function(input_signature=[_IMAGES], autograph=False)
        def attend(images):
            _, attended = self._run(images, False)
            return {"maps": self._attention_of(attended)}

        functions = {
            "serving_default": describe_images,
            **self.encoded_functions(),
            _ATTENTION: attend,
        }
        if self._has_replicas:
            signatures = functions
        else:
            # `save` would trace other functions once more.
            signatures = {
                name: function.get_concrete_function()
                for name, function in functions.items()
            }
        # A plain Checkpoint rather than a tf.Module, whose own `variables`
        # would not be saved; TensorFlow Hub looks for these attributes.
        root = tf.train.Checkpoint()
        root.variables = [variable.value for variable in self.variables]
        root.trainable_variables = [
            variable.value for variable in self._model.trainable_variables
        ]
        root.regularization_losses = []
        if for_reuse:
            root.__call__ = self._reusable_call()
        with atomic_directory(directory, KIND) as temporary:
            tf.saved_model.save(
                root,
                str(temporary),
                signatures=signatures,
            )
            if for_reuse:
                write_warmup(temporary, self._warmup_requests())
                body = _BODY.format(dimension=self.dimension, **self.provenance)
                write_card(temporary, "tensorflow", "Image descriptors", body)
            write_manifest(temporary, KIND, provenance=self.provenance)
        return as_location(directory, "--output")

    @property
    def variables(self) -> list[keras.Variable]:
        """Variables of the network and of its whitening."""
        whitening = self._whitening.variables if self._whitening else []
        return [*self._model.variables, *whitening]

    def encoded_functions(self) -> dict[str, Callable[..., Any]]:
        """Returns the functions of encoded photos by their signatures."""
        crops = self._describe_crops

        @tf.function(input_signature=[_ENCODED], autograph=False)
        def describe_encoded(encoded_images):
            whole = tf.zeros((tf.shape(encoded_images)[0], 4))
            return crops(encoded_images, whole)

        return {"encoded_images": describe_encoded, "encoded_crops": crops}

    def _run(self, images: tf.Tensor, training: bool) -> list[tf.Tensor]:
        """Runs the network, on a black photo if there is none.

        Fused convolutions of TensorFlow with oneDNN fail on an empty batch.
        """
        count = tf.shape(images)[0]
        missing = tf.cast(count == 0, tf.int32)
        images = tf.pad(images, [[0, missing], [0, 0], [0, 0], [0, 0]])
        return [each[:count] for each in self._network(images, training)]

    def _reusable_call(self) -> Callable[..., tf.Tensor]:
        @functools.partial(tf.function, autograph=False)
        def call(images, training=False):
            return self._finished(
                self._pyramid.descriptors(images, training=training)
            )

        for training in (False, True):
            call.get_concrete_function(_IMAGES, training=training)
        return call

    def _warmup_requests(self) -> dict[str, dict[str, np.ndarray]]:
        """Returns one small request per signature of descriptors."""
        side = self._image.size
        pixels = np.full((1, side, side, 3), 127, np.uint8)
        encoded = np.array([tf.io.encode_jpeg(pixels[0]).numpy()], object)
        return {
            "serving_default": {"images": pixels.astype(np.float32)},
            "encoded_images": {"encoded_images": encoded},
            "encoded_crops": {
                "encoded_images": encoded,
                "boxes": np.zeros((1, 4), np.float32),
            },
        }

    def _crops_function(self) -> Callable[..., dict[str, tf.Tensor]]:
        @tf.function(input_signature=[_ENCODED, _BOXES], autograph=False)
        def describe_crops(encoded_images, boxes):
            photos = decode_valid(encoded_images, boxes, self._image)
            descriptors = self._finished(
                self._pyramid.descriptors(photos.pixels, photos.valid)
            )
            return {
                "descriptors": photos.spread(descriptors),
                "status": photos.status,
            }

        return describe_crops

    def _finished(self, descriptors: tf.Tensor) -> tf.Tensor:
        if self._whitening is None:
            return descriptors
        return l2_normalize(self._whitening(descriptors))


def _traced_once(model: keras.Model) -> Callable[..., list[tf.Tensor]]:
    """Returns a network that is traced once per value of `training`.

    Five exported functions call it, and TensorFlow traces them again while it
    saves them.
    """
    trains = _depends_on_training(model)

    @functools.cache
    def traced(training: bool) -> Callable[[tf.Tensor], list[tf.Tensor]]:
        with tf.init_scope():
            return tf.function(
                lambda images: model(images, training=training),
                autograph=False,
            ).get_concrete_function(_IMAGES)

    def network(images: tf.Tensor, training: bool) -> list[tf.Tensor]:
        return traced(training and trains)(images)

    return network


def _depends_on_training(model: keras.Model) -> bool:
    """Whether any layer may compute something else in training."""
    for layer in model._flatten_layers(include_self=False):
        if isinstance(layer, keras.layers.BatchNormalization):
            if layer.trainable:
                return True
        elif not isinstance(layer, keras.Model):
            if "training" in inspect.signature(layer.call).parameters:
                return True
    return False

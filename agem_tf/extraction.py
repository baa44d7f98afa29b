"""Descriptors of photos, at one or several scales, under any strategy."""

import dataclasses
import hashlib
import json
import math
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from agem_tf import distribution
from agem_tf.artifacts import MANIFEST, DescriptorSet, DescriptorWriter
from agem_tf.config import ExtractionConfig, ImageConfig
from agem_tf.data.images import MIN_SIDE
from agem_tf.data.pipelines import PhotoPipeline
from agem_tf.data.prepared import Split
from agem_tf.evaluation.ground_truth import GroundTruth
from agem_tf.models import AGeM
from agem_tf.ops.normalization import l2_normalize
from agem_tf.progress import Progress


def describe(
    model: keras.Model,
    images: tf.Tensor,
    valid: tf.Tensor | None,
    scales: Sequence[float] = (1.0,),
    power: tf.Tensor | float = 1.0,
    training: bool = False,
) -> tf.Tensor:
    """Computes the descriptors of a batch.

    Args:
        model: maps (batch, height, width, 3) in [0, 255] to descriptors.
        images: (batch, height, width, 3), uint8 or float.
        valid: (batch, 2) height and width of each image's part that is not
            padding; images of equal shape then run together, without their
            padding. None if no image is padded.
        scales: factors on the image's sides.
        power: see `merge_scales`.
        training: passed on to the model.

    Returns:
        (batch, dimension) float32, L2-normalised.
    """
    if valid is None:
        return _describe_scales(model, images, scales, power, training)
    shapes, group = tf.raw_ops.UniqueV2(x=valid, axis=[0])

    def describe_group(number, descriptors):
        members = tf.where(group == number)
        height, width = shapes[number][0], shapes[number][1]
        cropped = tf.gather(images, members[:, 0])[:, :height, :width]
        described = _describe_scales(model, cropped, scales, power, training)
        return number + 1, tf.tensor_scatter_nd_update(
            descriptors, members, described
        )

    dimension = model.output_shape[-1]
    _, descriptors = tf.while_loop(
        lambda number, _: number < tf.shape(shapes)[0],
        describe_group,
        (0, tf.zeros((tf.shape(images)[0], dimension))),
        shape_invariants=(
            tf.TensorShape(()),
            tf.TensorShape((None, dimension)),
        ),
    )
    return descriptors


def merge_scales(
    descriptors: Sequence[tf.Tensor], power: tf.Tensor | float
) -> tf.Tensor:
    """Generalized mean over scales: L2((mean_s f_s^power)^(1/power)).

    Args:
        descriptors: (batch, dimension) each; non-negative unless power is 1.
        power: exponent; 1 is the plain mean.
    """
    if len(descriptors) == 1:
        return descriptors[0]
    mean = tf.reduce_mean(tf.stack(descriptors) ** power, axis=0)
    return l2_normalize(mean ** (1.0 / power))


def multi_scale_power(model: AGeM, num_scales: int) -> float:
    """The exponent of `merge_scales`: GeM's own p where it is defined.

    The reference uses the learned p for plain GeM at several scales and 1 for
    everything else (other poolings, regional, a whitening layer, p a channel).
    """
    pooling = model.get_layer("pooling")
    plain = (
        model.pooling == "gem"
        and not model.regional
        and not model.whitening_dimension
        and num_scales > 1
    )
    if not plain or pooling.per_channel:
        return 1.0
    return float(pooling.exponent.numpy())


def fingerprint(model: keras.Model) -> str:
    """Twelve hexadecimal digits that tell this network from others.

    Two networks with equal weights may pool them differently or compute in
    another precision, so the architecture and the dtypes count too.
    """
    config = model.get_config() | {
        "name": None,
        "dtypes": sorted({layer.dtype_policy.name for layer in model.layers}),
    }
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    # Not `variables`: those have random seeds, which no file keeps.
    for variable in model.weights:
        digest.update(np.ascontiguousarray(variable.numpy()).data)
    return digest.hexdigest()[:12]


def provenance(
    model: keras.Model, image: ImageConfig, extraction: ExtractionConfig
) -> dict[str, Any]:
    """What decides whether two descriptors may be compared.

    See `artifacts.provenance`; the whitening is noted by who applies it.
    """
    return {
        "model": fingerprint(model),
        "image": dataclasses.asdict(image),
        "scales": extraction.scales,
        "whitening": None,
    }


class Extractor:
    """Extracts descriptors of photos of a split, in order.

    The compiled step is reused while the model's weights change.
    """

    def __init__(
        self,
        model: AGeM,
        image: ImageConfig,
        extraction: ExtractionConfig,
        strategy: tf.distribute.Strategy,
    ):
        """Checks that the batch divides among the replicas."""
        distribution.per_replica(extraction.batch_size, strategy)
        self._model, self._image = model, image
        self._extraction, self._strategy = extraction, strategy
        self._step = tf.function(self._distributed_step)

    @property
    def dimension(self) -> int:
        """Length of a descriptor."""
        return self._model.output_shape[-1]

    def provenance(self, split: Split, crop: bool = False) -> dict[str, Any]:
        """How descriptors of `split` are made; see `artifacts.provenance`."""
        made = provenance(self._model, self._image, self._extraction)
        return made | {
            "dataset": split.fingerprint,
            "split": split.name,
            "crop": crop,
        }

    def database(self, split: Split) -> DescriptorSet:
        """Describes every photo of a split, in memory."""
        return DescriptorSet(
            split.names, self.extract(split), self.provenance(split)
        )

    def queries(
        self, split: Split, ground_truth: GroundTruth
    ) -> DescriptorSet | None:
        """Describes the query photos, cut to their boxes, in memory.

        Returns:
            None if no query has a box: they are photos of the database then.
        """
        if not ground_truth.has_boxes:
            return None
        return DescriptorSet(
            ground_truth.query_names,
            self.extract(split, split.find(ground_truth.query_names), True),
            self.provenance(split, crop=True),
        )

    def write(
        self,
        directory: str | pathlib.Path,
        split: Split,
        names: Sequence[str] | None = None,
        crop: bool = False,
        overwrite: bool = False,
    ) -> DescriptorSet:
        """Describes photos into a directory, batch by batch.

        Work that is already there, made by the same model with the same
        settings, is kept.

        Args:
            directory: of the descriptor set.
            split: where the photos are.
            names: of the photos; all of the split by default.
            crop: cut each photo to its query box.
            overwrite: do it anew.

        Raises:
            UserError: a record is corrupt, or the directory holds other files.
        """
        names = split.names if names is None else names
        provenance = self.provenance(split, crop)
        if not overwrite and (pathlib.Path(directory) / MANIFEST).exists():
            existing = DescriptorSet.load(directory)
            if existing.is_of(names, provenance):
                return existing
        with DescriptorWriter(
            directory, names, self.dimension, provenance
        ) as writer:
            for batch in self.batches(split, split.find(names), crop):
                writer.write(batch)
        return DescriptorSet.load(directory)

    def extract(
        self,
        split: Split,
        indices: np.ndarray | None = None,
        crop: bool = False,
    ) -> np.ndarray:
        """Returns (photos, dimension) float32 of `indices`, or of all photos.

        Args:
            split: where the photos come from.
            indices: positions in the split.
            crop: cut each photo to its query box.

        Raises:
            UserError: a record is corrupt.
        """
        return np.concatenate(list(self.batches(split, indices, crop)))

    def batches(
        self,
        split: Split,
        indices: np.ndarray | None = None,
        crop: bool = False,
    ) -> Iterator[np.ndarray]:
        """As `extract`, batch by batch: memory does not grow with the split."""
        indices = np.arange(len(split)) if indices is None else indices
        batch_size = self._extraction.batch_size
        # Full batches keep shapes static; the repeated photos are cut off.
        padded = np.resize(
            indices, math.ceil(len(indices) / batch_size) * batch_size
        )
        pipeline = PhotoPipeline(split, self._image)
        dataset = pipeline.photos(padded, crop)
        dataset = dataset.batch(batch_size, drop_remainder=True).prefetch(2)
        scales = self._extraction.scales
        power = tf.constant(multi_scale_power(self._model, len(scales)))
        remaining = len(indices)
        with (
            pipeline.errors_named(),
            Progress(f"Descriptors of {split.name}", len(indices)) as progress,
        ):
            for batch in distribution.distribute(dataset, self._strategy):
                values = self._step(batch, power)
                gathered = distribution.gather(values, self._strategy).numpy()
                yield gathered[:remaining]
                progress.update(min(remaining, batch_size))
                remaining -= batch_size

    def _distributed_step(self, batch, power):
        return self._strategy.run(self._replica_step, args=(batch, power))

    def _replica_step(self, batch, power):
        padded = self._image.resize != "square"
        return describe(
            self._model,
            batch["image"],
            batch["valid"] if padded else None,
            self._extraction.scales,
            power,
        )


def _describe_scales(model, images, scales, power, training):
    images = tf.cast(images, tf.float32)
    descriptors = [
        model(_scaled(images, scale), training=training) for scale in scales
    ]
    return merge_scales(descriptors, power)


def _scaled(images: tf.Tensor, scale: float) -> tf.Tensor:
    """Bilinear without antialiasing, sides rounded down, as the reference.

    Only a side below `MIN_SIDE`, from which some networks have no map left, is
    kept at that.
    """
    if scale == 1.0:
        return images
    sides = tf.cast(tf.shape(images)[1:3], tf.float32) * scale
    sides = tf.maximum(tf.cast(tf.floor(sides), tf.int32), MIN_SIDE)
    return tf.image.resize(images, sides, method="bilinear", antialias=False)

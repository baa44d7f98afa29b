"""Descriptors of photos, at one or several scales, under any strategy."""

import contextlib
import dataclasses
import functools
import hashlib
import json
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from agem_tf import distribution
from agem_tf.artifacts import (
    MANIFEST,
    DescriptorSet,
    DescriptorWriter,
    check_finite,
    discard_unfinished,
    full_disk_named,
)
from agem_tf.config import ExtractionConfig, ImageConfig
from agem_tf.data.pipelines import PhotoPipeline
from agem_tf.data.prepared import Split
from agem_tf.evaluation.ground_truth import GroundTruth
from agem_tf.models import AGeM
from agem_tf.ops.normalization import l2_normalize
from agem_tf.progress import Progress


def describe(
    model: AGeM,
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
            **({"lost": split.lost} if split.lost else {}),
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
        settings, is kept; so are the photos done before a process died. Of
        several workers all must call this; the chief writes, and then all
        read.

        Args:
            directory: of the descriptor set.
            split: where the photos are.
            names: of the photos; all of the split by default.
            crop: cut each photo to its query box.
            overwrite: do it anew.

        Raises:
            UserError: a record is corrupt, a descriptor is not finite, the
                directory holds other files, or the disk is full.
        """
        names = split.names if names is None else names
        provenance = self.provenance(split, crop)
        writes = distribution.is_chief(self._strategy)
        wanted = writes and (
            overwrite or not _is_finished(directory, names, provenance)
        )
        if distribution.from_chief(np.int32(wanted), self._strategy):
            if writes and overwrite:
                discard_unfinished(directory)
            writer = DescriptorWriter(
                directory, names, self.dimension, provenance, resume=True
            )
            with full_disk_named(directory):
                self._write(writer if writes else None, split, names, crop)
            distribution.wait_for_all(self._strategy)
        return DescriptorSet.load(directory)

    def _write(
        self,
        writer: DescriptorWriter | None,
        split: Split,
        names: Sequence[str],
        crop: bool,
    ) -> None:
        """Describes what the chief's writer lacks; others compute along."""
        with writer or contextlib.nullcontext():
            done = np.int32(writer.rows_written if writer else 0)
            done = int(distribution.from_chief(done, self._strategy))
            if done:
                logging.info("%d of %d photos are done", done, len(names))
            for batch in self.batches(split, split.find(names)[done:], crop):
                if writer:
                    writer.write(batch)

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
            UserError: a record is corrupt, or a descriptor is not finite.
        """
        indices = np.arange(len(split)) if indices is None else indices
        descriptors = np.concatenate(list(self.batches(split, indices, crop)))
        check_finite(descriptors, [split.names[index] for index in indices])
        return descriptors

    def batches(
        self,
        split: Split,
        indices: np.ndarray,
        crop: bool = False,
    ) -> Iterator[np.ndarray]:
        """As `extract`, batch by batch: memory does not grow with the split."""
        batch_size = self._extraction.batch_size
        # Full batches keep shapes static; the repeated photo is cut off.
        padding = np.repeat(indices[-1:], -len(indices) % batch_size)
        padded = np.concatenate([indices, padding])
        pipeline = PhotoPipeline(split, self._image)
        dataset = distribution.distribute(
            padded,
            batch_size,
            functools.partial(_photo_batches, pipeline, crop=crop),
            self._strategy,
        )
        scales = self._extraction.scales
        power = tf.constant(multi_scale_power(self._model, len(scales)))
        remaining = len(indices)
        with (
            pipeline.errors_named(),
            Progress(f"Descriptors of {split.name}", len(indices)) as progress,
        ):
            for batch in dataset:
                # Equal on all replicas of all workers.
                values = self._strategy.experimental_local_results(
                    self._step(batch, power)
                )[0]
                yield values.numpy()[:remaining]
                progress.update(min(remaining, batch_size))
                remaining -= batch_size

    def _distributed_step(self, batch, power):
        return self._strategy.run(self._replica_step, args=(batch, power))

    def _replica_step(self, batch, power):
        padded = self._image.resize != "square"
        descriptors = describe(
            self._model,
            batch["image"],
            batch["valid"] if padded else None,
            self._extraction.scales,
            power,
        )
        return distribution.gather(descriptors)


def _is_finished(directory, names, provenance):
    if not (pathlib.Path(directory) / MANIFEST).exists():
        return False
    return DescriptorSet.load(directory).is_of(names, provenance)


def _photo_batches(pipeline, indices, batch_size, crop):
    photos = pipeline.photos(indices, crop)
    batches = photos.batch(batch_size, drop_remainder=True)
    return batches.prefetch(tf.data.AUTOTUNE)


def _describe_scales(model, images, scales, power, training):
    images = tf.cast(images, tf.float32)
    descriptors = [
        model(_scaled(images, scale, model), training=training)
        for scale in scales
    ]
    return merge_scales(descriptors, power)


def _scaled(images: tf.Tensor, scale: float, model: AGeM) -> tf.Tensor:
    """Bilinear without antialiasing, sides rounded down, as the reference.

    Only a side from which the network would have no map left is kept larger.
    """
    if scale == 1.0:
        return images
    sides = tf.cast(tf.shape(images)[1:3], tf.float32) * scale
    sides = tf.maximum(tf.cast(tf.floor(sides), tf.int32), model.least_side())
    return tf.image.resize(images, sides, method="bilinear", antialias=False)

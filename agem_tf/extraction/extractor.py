"""Extracts descriptors of prepared photos under any strategy."""

import contextlib
import functools
import logging
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from agem_tf.config import ExtractionConfig, ImageConfig
from agem_tf.datasets.photo_pipeline import PhotoPipeline
from agem_tf.datasets.prepared import Split
from agem_tf.descriptors.descriptor_set import (
    DescriptorSet,
    DescriptorWriter,
    check_finite,
)
from agem_tf.distribution import preemption
from agem_tf.distribution.batches import distribute, gather, per_replica
from agem_tf.distribution.workers import (
    agreed_stop,
    barrier_after_work,
    from_chief,
    is_chief,
)
from agem_tf.evaluation.ground_truth import GroundTruth
from agem_tf.extraction.identity import provenance
from agem_tf.extraction.pyramid import ScalePyramid
from agem_tf.files.locations import as_location
from agem_tf.files.manifest import is_finished
from agem_tf.files.portions import load_portions, spans
from agem_tf.models import AGeM
from agem_tf.photos import canvases
from agem_tf.progress import Progress

_LOG = logging.getLogger(__name__)

# So many batches are sorted before they run, by canvas or by the shapes of the
# photos; as many are lost when the process is killed. Each canvas of a part
# ends with a batch that is not full, so that parts by canvas are longer.
_BATCHES_BY_CANVAS = 64
_BATCHES_BY_SHAPE = 8


class Extractor:
    """Extracts descriptors of the photos of a split, in order.

    The compiled step stays valid while the model's weights change.

    Args:
        model: the network.
        image: how photos are resized and padded.
        extraction: scales and batch size.
        strategy: strategy under which the model was built.

    Raises:
        UserError: the batch does not divide among the replicas.
    """

    def __init__(
        self,
        model: AGeM,
        image: ImageConfig,
        extraction: ExtractionConfig,
        strategy: tf.distribute.Strategy,
    ):
        per_replica(extraction.batch_size, strategy)
        self._model, self._image = model, image
        self._extraction, self._strategy = extraction, strategy
        self._pyramid = ScalePyramid(
            model, image, extraction.scales, resize_by=extraction.resize_by
        )
        self._step = tf.function(
            lambda batch, stop: strategy.run(
                self.replica_step, args=(batch, stop)
            )
        )

    @property
    def dimension(self) -> int:
        """Dimension of the descriptors."""
        return self._model.output_shape[-1]

    def provenance(self, split: Split, crop: bool = False) -> dict[str, Any]:
        """Returns how descriptors of a split are made.

        See `files.provenance`.
        """
        made = provenance(self._model, self._image, self._extraction)
        return made | {
            "dataset": split.fingerprint,
            "split": split.name,
            "crop": crop,
            **({"lost": split.lost} if split.lost else {}),
        }

    @property
    def unit(self) -> int:
        """Number of consecutive photos that are extracted together."""
        if self._image.resize == "square":
            return self._extraction.batch_size
        buckets = self._image.buckets
        batches = _BATCHES_BY_CANVAS if buckets else _BATCHES_BY_SHAPE
        return batches * self._extraction.batch_size

    def database(self, split: Split) -> DescriptorSet:
        """Extracts every photo of a split, in memory."""
        return DescriptorSet(
            split.names, self.extract(split), self.provenance(split)
        )

    def queries(
        self, split: Split, ground_truth: GroundTruth
    ) -> DescriptorSet | None:
        """Extracts the queries, cropped to their boxes, in memory.

        Returns:
            None if no query has a box: queries are photos of the database then.
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
        portions: Sequence[pathlib.Path] = (),
    ) -> DescriptorSet:
        """Extracts descriptors into a directory, batch by batch.

        A finished set of the same model and settings is kept, and an
        interrupted one is resumed. All workers must call this: the chief
        writes, then all read.

        Portions of the photos may be written by other processes. With borders
        at multiples of `unit` the descriptors are the same, bit by bit.

        Args:
            directory: directory to write the descriptor set to.
            split: split of a prepared dataset.
            names: names of the photos; by default all of the split.
            crop: whether to crop each photo to its query box.
            overwrite: whether to extract a finished set again. An extraction
                that was interrupted meanwhile is resumed.
            portions: directories of sets of consecutive photos, whose
                descriptors are taken over.

        Raises:
            UserError: a record is corrupt, a descriptor is not finite, the
                directory holds other files, a portion is of other photos or
                settings, or the disk is full.
        """
        names = split.names if names is None else names
        provenance = self.provenance(split, crop)
        found = load_portions(
            portions,
            functools.partial(DescriptorSet.load, verify=True),
            names,
            provenance,
        )
        writes = is_chief(self._strategy)
        wanted = writes and (
            overwrite or not _is_finished(directory, names, provenance)
        )
        if from_chief(np.int32(wanted), self._strategy):
            writer = DescriptorWriter(
                directory, names, self.dimension, provenance, resume=True
            )
            self._write(writer if writes else None, split, names, crop, found)
            barrier_after_work(self._strategy)
        return DescriptorSet.load(directory)

    def _write(
        self,
        writer: DescriptorWriter | None,
        split: Split,
        names: Sequence[str],
        crop: bool,
        portions: Mapping[int, DescriptorSet],
    ) -> None:
        """Writes the missing rows; workers without a writer only compute."""
        with writer or contextlib.nullcontext():
            done = np.int32(writer.rows_written if writer else 0)
            done = int(from_chief(done, self._strategy))
            if done:
                _LOG.info("%d of %d photos are done", done, len(names))
            rows = split.find(names)
            for first, end, portion, offset in spans(done, len(rows), portions):
                if portion is None:
                    for batch in self.batches(split, rows[first:end], crop):
                        if writer:
                            writer.write(batch)
                elif writer:
                    writer.write(portion.descriptors[offset:])

    def extract(
        self,
        split: Split,
        indices: np.ndarray | None = None,
        crop: bool = False,
    ) -> np.ndarray:
        """Returns (photos, dimension) float32 of `indices`, or of all photos.

        Args:
            split: split of a prepared dataset.
            indices: positions in the split.
            crop: whether to crop each photo to its query box.

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
        """Yields what `extract` returns in parts, in bounded memory."""
        pipeline = PhotoPipeline(split, self._image)
        with (
            pipeline.errors_named(),
            Progress(f"Descriptors of {split.name}", len(indices)) as progress,
        ):
            run = functools.partial(self._run, pipeline, progress, crop)
            if self._image.resize == "square":
                yield from run(indices)
            else:
                yield from self._by_shape(run, split, indices, crop)

    def _by_shape(
        self,
        run: Callable[..., Iterator[np.ndarray]],
        split: Split,
        indices: np.ndarray,
        crop: bool,
    ) -> Iterator[np.ndarray]:
        """Yields the descriptors of one part after the other.

        Photos of one shape, or of one canvas, run in one batch.
        """
        for start in range(0, len(indices), self.unit):
            part = indices[start:][: self.unit]
            sizes = split.sizes[part]
            boxes = split.boxes[part] if crop else None
            descriptors = np.empty((len(part), self.dimension), np.float32)
            for members, canvas in canvases.group_by_shape(
                sizes, boxes, self._image
            ):
                rows = run(part[members], canvas)
                descriptors[members] = np.concatenate(list(rows))
            yield descriptors

    def _run(
        self,
        pipeline: PhotoPipeline,
        progress: Progress,
        crop: bool,
        indices: np.ndarray,
        canvas: tuple[int, int] | None = None,
    ) -> Iterator[np.ndarray]:
        """Yields the descriptors of one batch after the other."""
        batch_size = self._extraction.batch_size
        # Full batches keep shapes static; the repeated photo is cut off.
        padding = np.repeat(indices[-1:], -len(indices) % batch_size)
        dataset = distribute(
            np.concatenate([indices, padding]),
            batch_size,
            functools.partial(
                _photo_batches, pipeline, crop=crop, canvas=canvas
            ),
            self._strategy,
        )
        results = (
            self._step(batch, tf.constant(float(preemption.requested())))
            for batch in dataset
        )
        remaining = len(indices)
        for result in _one_ahead(results):
            # Equal on all replicas of all workers.
            local = self._strategy.experimental_local_results(result)
            values = local[0].numpy()
            if agreed_stop(values[:, -1].any(), self._strategy):
                preemption.end()
            yield values[:remaining, :-1]
            progress.update(min(remaining, batch_size))
            remaining -= batch_size

    def replica_step(
        self, batch: dict[str, tf.Tensor], stop: tf.Tensor
    ) -> tf.Tensor:
        """Runs the network inside a replica: the program of a device.

        Args:
            batch: photos as `PhotoPipeline.photos` yields them.
            stop: scalar float32, above 0 if this worker is to stop.

        Returns:
            (replicas * batch, dimension + 1) descriptors of all replicas, and
            `stop` of each.
        """
        descriptors = self._pyramid.descriptors(batch["image"], batch["valid"])
        stops = tf.fill((batch["image"].shape[0], 1), stop)
        return gather(tf.concat([descriptors, stops], axis=1))


def _one_ahead(results: Iterator[Any]) -> Iterator[Any]:
    """Yields results when the next one is in flight, so no device waits."""
    ahead = next(results, None)
    try:
        for following in results:
            yield ahead
            ahead = following
    except Exception:
        # The error of a batch does not lose the batch before it.
        yield ahead
        raise
    if ahead is not None:
        yield ahead


def _is_finished(directory, names, provenance):
    return is_finished(
        as_location(directory, "--output")
    ) and DescriptorSet.load(directory).is_of(names, provenance)


def _photo_batches(pipeline, indices, batch_size, crop, canvas):
    photos = pipeline.photos(indices, crop, canvas)
    batches = photos.batch(batch_size, drop_remainder=True)
    return batches.prefetch(tf.data.AUTOTUNE)

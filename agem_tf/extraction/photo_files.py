"""Extracts descriptors of photo files and of encoded photos.

The path is that of a prepared dataset: upright RGB (`photos.encoding`), pixels
on a canvas (`photos.decoding`), the network at its scales (`pyramid`).
"""

import collections
import concurrent.futures
import dataclasses
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from agem_tf.config import ImageConfig
from agem_tf.errors import UserError
from agem_tf.extraction.pyramid import ScalePyramid
from agem_tf.photos.decoding import photo_on_canvas
from agem_tf.photos.encoding import read_encoded_photo
from agem_tf.progress import Progress

_BATCH = 32
_THREADS = os.cpu_count() or 1
_WHOLE = (0.0, 0.0, 0.0, 0.0)


def encoded_photo_descriptors(
    pyramid: ScalePyramid,
    image: ImageConfig,
    encoded: tf.Tensor,
    boxes: tf.Tensor,
) -> tf.Tensor:
    """Computes descriptors of encoded photos inside a graph.

    Args:
        pyramid: the network.
        image: how photos are resized.
        encoded: (batch,) strings, JPEG or PNG.
        boxes: (batch, 4) float32 x1, y1, x2, y2 in pixels, cut out first; zeros
            for the whole photo.

    Returns:
        (batch, dimension) float32.
    """

    def load(crop: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        photo = photo_on_canvas(crop[0], image, crop[1])
        return photo["image"], photo["valid"]

    pixels, valid = tf.map_fn(
        load, (encoded, boxes), fn_output_signature=(tf.uint8, tf.int32)
    )
    return pyramid.descriptors(pixels, valid)


@dataclasses.dataclass(frozen=True)
class FileExtractor:
    """Maps photo files to descriptors, by a network in memory or a SavedModel.

    Attributes:
        function: maps `encoded_images` (batch,) and `boxes` (batch, 4) to
            {"descriptors": (batch, dimension)}.
        dimension: dimension of the descriptors.
        provenance: how the descriptors are made; see `files.provenance`.
    """

    function: Callable[..., dict[str, tf.Tensor]]
    dimension: int
    provenance: dict[str, Any]

    def encoded(
        self,
        encoded: Sequence[bytes],
        boxes: Sequence[Sequence[float]] | None = None,
    ) -> np.ndarray:
        """Extracts descriptors of encoded photos, in batches of bounded memory.

        Args:
            encoded: JPEG or PNG bytes of upright photos, as
                `photos.encoding.read_encoded_photo` gives them.
            boxes: x1, y1, x2, y2 in pixels to crop each photo to; all zeros
                for the whole photo, which is the default.

        Returns:
            (photos, dimension) float32.
        """
        boxes = [_WHOLE] * len(encoded) if boxes is None else boxes
        rows = np.empty((len(encoded), self.dimension), np.float32)
        for start in range(0, len(encoded), _BATCH):
            part = slice(start, start + _BATCH)
            count = len(encoded[part])
            outputs = self.function(
                encoded_images=tf.constant(encoded[part], tf.string),
                boxes=tf.constant(boxes[part], tf.float32, (count, 4)),
            )
            rows[part] = outputs["descriptors"].numpy()
        return rows

    def files(
        self,
        paths: Sequence[str],
        skip: Callable[[str, UserError], None] | None = None,
    ) -> Iterator[tuple[list[str], np.ndarray]]:
        """Extracts descriptors of files, reading ahead of the network.

        Args:
            paths: paths of the photos.
            skip: called with the path and the error of each unreadable photo;
                without it, the first one ends the extraction.

        Yields:
            The paths of a batch, and its descriptors.

        Raises:
            UserError: a photo can't be read, and there is no `skip`.
        """
        readable = _readable(paths, skip)
        with Progress("Descriptors", len(paths), "photos") as progress:
            while batch := list(itertools.islice(readable, _BATCH)):
                rows = self.encoded([encoded for _, encoded in batch])
                yield [path for path, _ in batch], rows
                progress.update(len(batch))


def _readable(
    paths: Sequence[str], skip: Callable[[str, UserError], None] | None
) -> Iterator[tuple[str, bytes]]:
    """Yields paths and encoded photos; threads read two batches ahead."""
    waiting: collections.deque = collections.deque()
    remaining = iter(paths)
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        while True:
            for path in itertools.islice(
                remaining, 2 * _BATCH + 1 - len(waiting)
            ):
                waiting.append((path, pool.submit(read_encoded_photo, path)))
            if not waiting:
                return
            path, future = waiting.popleft()
            try:
                encoded = future.result().encoded
            except UserError as error:
                if skip is None:
                    raise
                skip(path, error)
            else:
                yield path, encoded

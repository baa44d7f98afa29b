"""Extracts descriptors of photo files and of encoded photos.

The path is that of a prepared dataset: upright RGB (`photos.encoding`), pixels
on a canvas (`photos.decoding`), the network at its scales (`pyramid`).
"""

import collections
import concurrent.futures
import contextlib
import dataclasses
import itertools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from agem_tf.errors import UserError
from agem_tf.photos.encoding import read_encoded_photo
from agem_tf.photos.screening import PhotoStatus
from agem_tf.progress import Progress

# Photos that are extracted together.
BATCH = 32
_BATCH_BYTES = 200_000_000
_THREADS = os.cpu_count() or 1
_WHOLE = (0.0, 0.0, 0.0, 0.0)
_REMEDY = "replace or remove it"


@dataclasses.dataclass(frozen=True)
class FileExtractor:
    """Maps photo files to descriptors, by a network in memory or a SavedModel.

    Attributes:
        function: maps `encoded_images` (batch,) and `boxes` (batch, 4) to
            {"descriptors": (batch, dimension), "status": (batch,)}.
        dimension: dimension of the descriptors.
        provenance: how the descriptors are made; see `files.provenance`.
        attention: maps `images` (batch, height, width, 3) float32 in [0, 255]
            to {"maps": (batch, map height, map width)}; see
            `AGeM.attention_maps`. None for exports of earlier versions.
    """

    function: Callable[..., dict[str, tf.Tensor]]
    dimension: int
    provenance: dict[str, Any]
    attention: Callable[..., dict[str, tf.Tensor]] | None = None

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

        Raises:
            UserError: the network refuses a photo, which it does not if
                `read_encoded_photo` accepts it.
        """
        boxes = [_WHOLE] * len(encoded) if boxes is None else boxes
        rows = np.empty((len(encoded), self.dimension), np.float32)
        for start in range(0, len(encoded), BATCH):
            part = slice(start, start + BATCH)
            count = len(encoded[part])
            outputs = self.function(
                encoded_images=tf.constant(encoded[part], tf.string),
                boxes=tf.constant(boxes[part], tf.float32, (count, 4)),
            )
            rows[part] = outputs["descriptors"].numpy()
            for position, status in enumerate(outputs["status"].numpy()):
                if status != PhotoStatus.VALID:
                    raise UserError(
                        f"Encoded photo {start + position} can't be used: "
                        f"{PhotoStatus(int(status)).name}."
                    )
        return rows

    def files(
        self,
        paths: Sequence[str],
        skip: Callable[[str, UserError], None] | None = None,
        positions: Sequence[int] | None = None,
    ) -> Iterator[tuple[list[str], np.ndarray]]:
        """Extracts descriptors of files, reading ahead of the network.

        Photos share a batch if their positions divided by `BATCH` agree. So
        descriptors are the same, bit by bit, if a part of a list that starts at
        a multiple of `BATCH` is extracted elsewhere.

        Args:
            paths: paths of the photos.
            skip: called with the path and the error of each unreadable photo;
                without it, the first one ends the extraction.
            positions: rising positions of the photos in a list of which these
                are a part; by default from 0.

        Yields:
            The paths of a batch, and its descriptors.

        Raises:
            UserError: a photo can't be read, and there is no `skip`.
        """
        if positions is None:
            positions = range(len(paths))
        readable = _readable(list(zip(positions, paths, strict=True)), skip)
        with Progress("Descriptors", len(paths), "photos") as progress:
            for batch in _batches(readable):
                rows = self.encoded([photo.encoded for photo in batch])
                yield [photo.path for photo in batch], rows
                progress.update(len(batch))


class _ReadPhoto(NamedTuple):
    position: int
    path: str
    encoded: bytes


def _batches(photos: Iterator[_ReadPhoto]) -> Iterator[list[_ReadPhoto]]:
    """Yields batches of bounded number and size; see `FileExtractor.files`."""
    for _, members in itertools.groupby(photos, lambda p: p.position // BATCH):
        batch: list[_ReadPhoto] = []
        for photo in members:
            batch.append(photo)
            if sum(len(p.encoded) for p in batch) > _BATCH_BYTES:
                yield batch
                batch = []
        if batch:
            yield batch


class _ReadAhead:
    """Lets threads read photos ahead, while few bytes wait for the network.

    A photo of 100 megapixels that is converted to PNG can have 300 MB.
    """

    def __init__(self):
        self._changed = threading.Condition()
        self._bytes = 0
        self._taken = 0
        self._closed = False

    def read(self, position: int, path: str) -> bytes:
        """Reads a photo in a thread, as soon as there is room for it."""
        with self._changed:
            # The next one that is taken always has room.
            self._changed.wait_for(
                lambda: (
                    self._bytes < _BATCH_BYTES
                    or position == self._taken
                    or self._closed
                )
            )
            if self._closed:
                return b""
        encoded = read_encoded_photo(path, remedy=_REMEDY).encoded
        with self._changed:
            self._bytes += len(encoded)
        return encoded

    def take(self, future: concurrent.futures.Future[bytes]) -> bytes:
        """Returns the photo of the next position.

        Raises:
            UserError: it can't be read.
        """
        size = 0
        try:
            encoded = future.result()
            size = len(encoded)
            return encoded
        finally:
            with self._changed:
                self._bytes -= size
                self._taken += 1
                self._changed.notify_all()

    def close(self) -> None:
        """Makes threads return that wait for room."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def _readable(
    photos: Sequence[tuple[int, str]],
    skip: Callable[[str, UserError], None] | None,
) -> Iterator[_ReadPhoto]:
    """Yields encoded photos; threads read two batches ahead."""
    waiting: collections.deque = collections.deque()
    remaining = enumerate(photos)
    ahead = _ReadAhead()
    with (
        concurrent.futures.ThreadPoolExecutor(_THREADS) as pool,
        contextlib.closing(ahead),
    ):
        while True:
            for number, (position, path) in itertools.islice(
                remaining, 2 * BATCH + 1 - len(waiting)
            ):
                task = pool.submit(ahead.read, number, path)
                waiting.append((position, path, task))
            if not waiting:
                return
            position, path, task = waiting.popleft()
            try:
                encoded = ahead.take(task)
            except UserError as error:
                if skip is None:
                    raise
                skip(path, error)
            else:
                yield _ReadPhoto(position, path, encoded)

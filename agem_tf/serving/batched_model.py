"""One thread runs the model on photos of several requests at a time.

A batch ends when it is full, or `batch_timeout` seconds after its first photo
came. Only this thread describes photos, so that requests do not compete for the
cores inside TensorFlow's graph, and the memory of a batch is bounded once.
"""

import asyncio
import concurrent.futures
import dataclasses
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from agem_tf.extraction.photo_files import FileExtractor
from agem_tf.photos.boxes import Box
from agem_tf.serving.service_errors import busy

_LOG = logging.getLogger(__name__)
_WHOLE = (0.0, 0.0, 0.0, 0.0)


class PhotoRow(NamedTuple):
    """What the model says of a photo.

    Attributes:
        descriptor: (dimension,) float32, zeros if the photo is not valid.
        status: a `PhotoStatus`.
    """

    descriptor: np.ndarray
    status: int


@dataclasses.dataclass
class _Waiting:
    encoded: bytes
    box: Box
    future: concurrent.futures.Future


class BatchedModel:
    """A model whose photos are run in batches by one thread.

    Args:
        extractor: the model.
        max_batch_size: most photos of a batch.
        batch_timeout: seconds that a photo waits for others.
        max_waiting: most photos that wait; more are refused.
        observe: called with the size and the seconds of each batch.
    """

    def __init__(
        self,
        extractor: FileExtractor,
        max_batch_size: int = 16,
        batch_timeout: float = 0.005,
        max_waiting: int = 256,
        observe: Callable[[int, float], None] | None = None,
    ):
        self._extractor = extractor
        self._max_batch_size = max_batch_size
        self._batch_timeout = batch_timeout
        self._observe = observe
        self.max_waiting = max_waiting
        self._queue: queue.Queue[_Waiting | None] = queue.Queue(max_waiting)
        self._closed = False
        self._thread = threading.Thread(
            target=self._work, name="model", daemon=True
        )
        self._thread.start()

    @property
    def dimension(self) -> int:
        """Dimension of the descriptors."""
        return self._extractor.dimension

    @property
    def attention(self) -> Callable[..., dict[str, tf.Tensor]] | None:
        """See `FileExtractor.attention`."""
        return self._extractor.attention

    @property
    def waiting(self) -> int:
        """Number of photos that wait for the model."""
        return self._queue.qsize()

    async def describe(
        self, encoded: Sequence[bytes], boxes: Sequence[Box] | None = None
    ) -> list[PhotoRow]:
        """Returns what the model says of photos; cancelling drops them.

        Args:
            encoded: JPEG or PNG bytes; others get a status.
            boxes: x1, y1, x2, y2 in pixels of the upright photos, zeros for a
                whole one; by default all are whole.

        Raises:
            ServiceError: too many photos wait already.
        """
        if self._closed:
            raise busy("The model has been replaced; try again.")
        boxes = boxes or [_WHOLE] * len(encoded)
        futures = []
        try:
            for photo, box in zip(encoded, boxes, strict=True):
                future: concurrent.futures.Future = concurrent.futures.Future()
                self._queue.put_nowait(_Waiting(photo, box, future))
                futures.append(future)
            return await asyncio.gather(*map(asyncio.wrap_future, futures))
        except queue.Full as error:
            raise busy("Too many photos wait; try again.") from error
        finally:
            for future in futures:
                future.cancel()

    def extractor(self) -> FileExtractor:
        """Returns an extractor for other threads, run by this model's thread.

        Photos of requests come between those of a long addition.
        """

        def run(
            encoded_images: tf.Tensor, boxes: tf.Tensor
        ) -> dict[str, tf.Tensor]:
            futures = []
            for photo, box in zip(
                encoded_images.numpy(), boxes.numpy(), strict=True
            ):
                future: concurrent.futures.Future = concurrent.futures.Future()
                futures.append(future)
                self._queue.put(_Waiting(photo, tuple(box), future))
            rows = [future.result() for future in futures]
            return {
                "descriptors": tf.stack([row.descriptor for row in rows]),
                "status": tf.constant([row.status for row in rows], tf.int32),
            }

        return dataclasses.replace(self._extractor, function=run)

    def close(self) -> None:
        """Finishes what waits and ends the thread."""
        self._closed = True
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (first := self._queue.get()) is not None:
            batch, ends = [first], False
            deadline = time.monotonic() + self._batch_timeout
            while len(batch) < self._max_batch_size:
                try:
                    left = deadline - time.monotonic()
                    item = self._queue.get(left > 0, max(left, 0))
                except queue.Empty:
                    break
                if item is None:
                    ends = True
                    break
                batch.append(item)
            self._run(
                [
                    each
                    for each in batch
                    if each.future.set_running_or_notify_cancel()
                ]
            )
            if ends:
                return

    def _run(self, batch: list[_Waiting]) -> None:
        if not batch:
            return
        started = time.monotonic()
        try:
            outputs = self._extractor.function(
                encoded_images=tf.constant(
                    [each.encoded for each in batch], tf.string
                ),
                boxes=tf.constant([each.box for each in batch], tf.float32),
            )
            rows = outputs["descriptors"].numpy()
            status = outputs["status"].numpy()
        except Exception as error:  # The next batch may be smaller.
            _LOG.exception("The model failed on %d photos", len(batch))
            for each in batch:
                each.future.set_exception(error)
            return
        if self._observe:
            self._observe(len(batch), time.monotonic() - started)
        for each, row, code in zip(batch, rows, status, strict=True):
            each.future.set_result(PhotoRow(row, int(code)))

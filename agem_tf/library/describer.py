"""An exported model, and the photos that it describes.

The files that make an index are those that search it, so that a photo has the
same descriptor on both sides.
"""

import collections
import concurrent.futures
import itertools
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from agem_tf.errors import UserError
from agem_tf.files.manifest import read_manifest
from agem_tf.photos.encoding import read_encoded_photo
from agem_tf.progress import Progress

_KIND = "saved_model"
_SIGNATURE = "encoded_crops"
_BATCH = 32
_THREADS = os.cpu_count() or 1
_WHOLE = (0.0, 0.0, 0.0, 0.0)


class Describer:
    """Describes encoded photos with a SavedModel of `saved_model`.

    Attributes:
        provenance: how its descriptors are made.
        dimension: of a descriptor.
    """

    def __init__(self, directory: str | pathlib.Path):
        """Loads the model.

        Raises:
            UserError: it is missing, altered, or not exported by this version.
        """
        manifest = read_manifest(pathlib.Path(directory), _KIND, verify=True)
        self.provenance = manifest["provenance"]
        self._model = tf.saved_model.load(str(directory))
        if _SIGNATURE not in self._model.signatures:
            raise UserError(
                f"The model {directory} has no signature {_SIGNATURE}; export "
                "it again with python -m agem_tf.export."
            )
        self._describe = self._model.signatures[_SIGNATURE]
        outputs = self._describe.structured_outputs
        self.dimension = outputs["descriptors"].shape[-1]

    def describe(
        self,
        encoded: Sequence[bytes],
        boxes: Sequence[Sequence[float]] | None = None,
    ) -> np.ndarray:
        """Describes photos.

        Args:
            encoded: JPEG or PNG bytes of upright photos; see `photos.read`.
            boxes: x1, y1, x2, y2 in pixels of each photo, to cut it to; all
                zeros for the whole photo, which is the default.

        Returns:
            (photos, dimension) float32.
        """
        boxes = [_WHOLE] * len(encoded) if boxes is None else boxes
        outputs = self._describe(
            encoded_images=tf.constant(encoded, tf.string),
            boxes=tf.constant(boxes, tf.float32, (len(encoded), 4)),
        )
        return outputs["descriptors"].numpy()

    def describe_files(
        self,
        paths: Sequence[str],
        skip: Callable[[str, UserError], None] | None = None,
    ) -> Iterator[tuple[list[str], np.ndarray]]:
        """Describes photo files, reading ahead while the model works.

        Args:
            paths: of the photos.
            skip: is told of each photo that can't be read; without it, the
                first one ends the work.

        Yields:
            The paths of a batch, and its descriptors.

        Raises:
            UserError: a photo can't be read, and there is no `skip`.
        """
        readable = _readable(_read_ahead(paths), skip)
        with Progress("Describing", len(paths), "photos") as progress:
            while batch := list(itertools.islice(readable, _BATCH)):
                described = self.describe([encoded for _, encoded in batch])
                yield [path for path, _ in batch], described
                progress.update(len(batch))


def _readable(
    reading: Iterable[tuple[str, concurrent.futures.Future]],
    skip: Callable[[str, UserError], None] | None,
) -> Iterator[tuple[str, bytes]]:
    for path, future in reading:
        try:
            yield path, future.result().encoded
        except UserError as error:
            if skip is None:
                raise
            skip(path, error)


def _read_ahead(
    paths: Sequence[str],
) -> Iterator[tuple[str, concurrent.futures.Future]]:
    """Starts to read two batches before they are asked for."""
    waiting: collections.deque = collections.deque()
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        for path in paths:
            waiting.append((path, pool.submit(read_encoded_photo, path)))
            if len(waiting) > 2 * _BATCH:
                yield waiting.popleft()
        yield from waiting

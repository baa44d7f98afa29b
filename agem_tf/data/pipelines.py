"""tf.data pipelines: photo indices in, batches of pixels out.

Every photo arrives in a square of fixed shape together with the size of its
valid part, so that shapes are static for the compiler.
"""

import contextlib
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from agem_tf.config import ImageConfig
from agem_tf.data import images
from agem_tf.data.prepared import Split
from agem_tf.errors import UserError


class PhotoPipeline:
    """Reads, decodes and resizes photos of one split.

    A corrupt record surfaces in TensorFlow as an unreadable graph error;
    iterate inside `errors_named()` to get the sentence that names the record.
    """

    def __init__(self, split: Split, image: ImageConfig):
        self._split = split
        self._image = image
        self._error: UserError | None = None

    def photos(
        self, indices: np.ndarray, crop: bool = False
    ) -> tf.data.Dataset:
        """Photos one by one, in the order of `indices`.

        Args:
            indices: (N,) positions in the split.
            crop: cut each photo to its query box first. The scale is that of
                the whole photo, as in the reference implementation of GeM.

        Returns:
            Elements {"image": (size, size, 3) uint8, "valid": (2,) int32 height
            and width of the part that is not padding}.
        """
        dataset = tf.data.Dataset.from_tensor_slices(
            (np.asarray(indices, np.int64), self._split.boxes[indices])
        )
        return dataset.map(
            lambda index, box: self._load(index, box, crop),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )

    def tuples(self, indices: np.ndarray, batch_tuples: int) -> tf.data.Dataset:
        """Batches of tuples for training.

        Args:
            indices: (tuples, images a tuple) positions in the split.
            batch_tuples: tuples a batch; a smaller last batch is dropped.

        Returns:
            As `photos` with leading dimensions (batch_tuples, images a tuple).
        """
        return (
            self.photos(indices.ravel())
            .batch(indices.shape[1], drop_remainder=True)
            .batch(batch_tuples, drop_remainder=True)
            .prefetch(tf.data.AUTOTUNE)
        )

    @contextlib.contextmanager
    def errors_named(self) -> Iterator[None]:
        """Turns a failure inside the graph into the UserError behind it."""
        try:
            yield
        except tf.errors.OpError as error:
            if self._error is None:
                raise
            raise self._error from error

    def _load(
        self, index: tf.Tensor, box: tf.Tensor, crop: bool
    ) -> dict[str, tf.Tensor]:
        serialized = tf.numpy_function(
            self._read, [index], tf.string, stateful=False
        )
        encoded = tf.io.parse_single_example(
            serialized, {"image": tf.io.FixedLenFeature((), tf.string)}
        )["image"]
        return images.load(encoded, self._image, box if crop else None)

    def _read(self, index: np.int64) -> bytes:
        try:
            return self._split.read(int(index))
        except UserError as error:
            self._error = error
            raise

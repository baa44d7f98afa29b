"""tf.data pipelines from positions in a split to batches of pixels.

Every photo comes on a canvas of fixed shape, with the size of its valid part,
so that shapes are static for the compiler.
"""

import collections
import contextlib
import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from agem_tf.config import AugmentationConfig, ImageConfig
from agem_tf.datasets.prepared import Split
from agem_tf.datasets.record_features import encoded_photo
from agem_tf.errors import UserError, cause
from agem_tf.photos import canvases, decoding
from agem_tf.photos.augmentation import Augmentation

# More photos than a pipeline holds between reading and yielding.
_READ_AHEAD = 4096
# A photo of 100 megapixels takes 300 MB.
_WHOLE_PHOTOS_AT_ONCE = 4


class PhotoPipeline:
    """Reads, decodes and resizes photos of one split.

    TensorFlow reports a corrupt record or photo as a long graph error; iterate
    inside `errors_named()` to get a sentence that names it.

    Args:
        split: The photos.
        image: How they are resized and padded.
        augmentation: Random changes of the photos of `tuples`.
        seed: Numbers that determine these changes, together with a photo and
            the query of its tuple; for example the recipe's seed and the epoch.
    """

    def __init__(
        self,
        split: Split,
        image: ImageConfig,
        augmentation: AugmentationConfig | None = None,
        seed: Sequence[int] = (),
    ):
        self._split = split
        self._image = image
        self._augmentation = None
        if augmentation and augmentation != AugmentationConfig():
            self._augmentation = Augmentation(augmentation)
        self._seed = np.random.SeedSequence(seed).generate_state(1)
        self._error: UserError | None = None
        self._recent: collections.deque[int] = collections.deque(
            maxlen=_READ_AHEAD
        )

    def photos(
        self,
        indices: np.ndarray,
        crop: bool = False,
        canvas: tuple[int, int] | None = None,
    ) -> tf.data.Dataset:
        """Returns single photos, in the order of `indices`.

        Args:
            indices: (photos,) positions in the split.
            crop: Whether to crop each photo to its query box first. The scale
                is that of the whole photo, as in the reference implementation
                of GeM.
            canvas: Height and width to pad to; by default the smallest canvas
                that holds every photo of the recipe.

        Returns:
            Elements {"image": (*canvas, 3) uint8, "valid": (2,) int32 height
            and width of the part that is not padding}.
        """
        canvas = canvas or canvases.largest_canvas(self._image)
        return _mapped(
            (np.asarray(indices, np.int64), self._split.boxes[indices]),
            lambda index, box: decoding.photo_on_canvas(
                self._encoded(index), self._image, box if crop else None, canvas
            ),
        )

    def whole_photos(self, indices: np.ndarray) -> tf.data.Dataset:
        """Returns single photos as decoded, in the order of `indices`.

        Args:
            indices: (photos,) positions in the split.

        Returns:
            Elements (height, width, 3) uint8.
        """
        dataset = tf.data.Dataset.from_tensor_slices(
            np.asarray(indices, np.int64)
        )
        return dataset.map(
            lambda index: decoding.decode_photo(self._encoded(index)),
            num_parallel_calls=_WHOLE_PHOTOS_AT_ONCE,
            deterministic=True,
        )

    def tuples(self, indices: np.ndarray, batch_tuples: int) -> tf.data.Dataset:
        """Returns batches of tuples for training.

        Args:
            indices: (tuples, images per tuple) positions in the split.
            batch_tuples: Tuples per batch; a smaller last batch is dropped.

        Returns:
            As `photos`, and "landmark", an int32 equal for photos of one
            landmark, with leading dimensions (batch_tuples, images per tuple).
        """
        landmarks = self._split.labels[indices.ravel()].astype(np.int32)
        if self._augmentation:
            photos = self._augmented(indices)
        else:
            photos = self.photos(indices.ravel())
        labelled = tf.data.Dataset.zip(
            photos, tf.data.Dataset.from_tensor_slices(landmarks)
        )
        return (
            labelled.map(lambda photo, number: photo | {"landmark": number})
            .batch(indices.shape[1], drop_remainder=True)
            .batch(batch_tuples, drop_remainder=True)
            .prefetch(tf.data.AUTOTUNE)
        )

    @contextlib.contextmanager
    def errors_named(self) -> Iterator[None]:
        """Turns an error of the graph into the UserError that caused it.

        Raises:
            UserError: A record is corrupt, or a photo does not decode; the
                message names the record, or the photo and its split.
            tf.errors.OpError: The original error, if no photo is the cause.
        """
        try:
            yield
        except tf.errors.OpError as error:
            cause = self._error
            if isinstance(error, tf.errors.InvalidArgumentError):
                cause = cause or self._undecodable()
            if cause is None:
                raise
            raise cause from error
        finally:
            # TensorFlow keeps every function that a dataset calls, and with it
            # this object, until the process ends.
            self._recent.clear()
            self._error = None

    def _undecodable(self) -> UserError | None:
        """Finds the photo that failed; the error of the graph has no name."""
        for index in reversed(list(self._recent)):
            photo = f"The photo {self._split.names[index]} of split"
            stated = self._split.sizes[index].tolist()
            try:
                encoded = tf.constant(self._encoded_photo(index))
                shape = decoding.encoded_shape(encoded).numpy().tolist()
                if shape == stated:
                    decoding.decode_photo(decoding.checked_photo(encoded))
            except tf.errors.InvalidArgumentError as error:
                return UserError(
                    f"{photo} {self._split.name} does not decode "
                    f"({_reason(error)}); prepare the dataset with --overwrite."
                )
            # Its canvas follows from the size that the index states.
            if shape != stated:
                return UserError(
                    f"{photo} {self._split.name} is {shape[1]} x {shape[0]} "
                    f"pixels, not {stated[1]} x {stated[0]} as its index "
                    "states; prepare the dataset with --overwrite."
                )
        return None

    def _augmented(self, indices: np.ndarray) -> tf.data.Dataset:
        """As `photos`, randomly changed; a photo differs between tuples."""
        canvas = canvases.largest_canvas(self._image)
        places = indices[:, :1].astype(np.int64) * len(self._split) + indices
        seeds = np.empty((places.size, 2), np.int64)
        seeds[:, 0], seeds[:, 1] = self._seed, places.ravel()
        return _mapped(
            (indices.ravel().astype(np.int64), seeds),
            lambda index, seed: decoding.photo_on_canvas(
                self._encoded(index),
                self._image,
                canvas=canvas,
                augmentation=self._augmentation,
                seed=seed,
            ),
        )

    def _encoded(self, index: tf.Tensor) -> tf.Tensor:
        encoded, stated = tf.numpy_function(
            self._read, [index], (tf.string, tf.int64), stateful=False
        )
        return decoding.checked_photo(
            tf.ensure_shape(encoded, ()), tf.ensure_shape(stated, (2,))
        )

    def _read(self, index: np.int64) -> tuple[bytes, np.ndarray]:
        self._recent.append(int(index))
        try:
            encoded = self._encoded_photo(int(index))
            return encoded, self._split.sizes[index].astype(np.int64)
        except UserError as error:
            self._error = error
            raise

    def _encoded_photo(self, index: int) -> bytes:
        # In Python: errors of TensorFlow's parser quote the record, and raise
        # UnicodeDecodeError if it is no text.
        return encoded_photo(self._split.read(index), self._split.names[index])


def _reason(error: tf.errors.OpError) -> str:
    """Returns why a photo does not decode, without the graph's words."""
    reason = re.sub(r"\{\{.*?\}\} ", "", cause(error))
    return reason.rpartition("Summarized data: ")[2]


def _mapped(
    values: tuple[np.ndarray, ...],
    load: Callable[..., dict[str, tf.Tensor]],
) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices(values).map(
        load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )

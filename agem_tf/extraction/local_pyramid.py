"""Local features over a photo at several scales, and which are selected.

The same graph serves extraction and the exported model. All coordinates are
pixels of the photo that is described, whose first pixel has its centre at 0.
"""

from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from agem_tf.config import ImageConfig
from agem_tf.descriptors.linear_whitening import LinearWhitening
from agem_tf.descriptors.local_features import LEAST_PHOTO_SIDE
from agem_tf.extraction.pyramid import ScalePyramid
from agem_tf.layers import Whitening
from agem_tf.models import AGeM
from agem_tf.models.receptive_fields import receptive_field
from agem_tf.ops.normalization import l2_normalize

# Sides whose maps are larger than any border effect.
_WHOLE_STRIDES = 64


class LocalMaps(NamedTuple):
    """Positions of all scales of a batch of photos of equal shape.

    Attributes:
        features: (batch, positions, channels) float32.
        scores: (batch, positions) float32; 0 at scales that are too small.
        boxes: (positions, 4) float32 y0, x0, y1, x1: the receptive fields.
        scales: (positions,) float32, the inverse of a position's scale.
        descriptors: (batch, scales, dimension) float32, the global descriptors
            of a joint pyramid; without, (batch, scales, 0).
    """

    features: tf.Tensor
    scores: tf.Tensor
    boxes: tf.Tensor
    scales: tf.Tensor
    descriptors: tf.Tensor


class LocalPyramid:
    """Maps photos to their best local features, inside a graph.

    Args:
        model: The network; see `AGeM.local_network`.
        whitening: Applied to the L2-normalized features, if given.
        joint: Whether global descriptors are computed in the same pass.

    Attributes:
        dimension: Dimension of the descriptors.
    """

    def __init__(
        self,
        model: AGeM,
        whitening: LinearWhitening | None = None,
        joint: bool = False,
    ):
        network = model.local_network()
        self._global_dimension = model.dimension if joint else 0
        if joint:
            outputs = network.output | {"descriptors": model.output}
            network = keras.Model(network.inputs[0], outputs)
        self._pyramid = ScalePyramid(model, ImageConfig(), network=network)
        self._fields = _Fields(model.map_network())
        self._channels = network.output["features"].shape[-1]
        self.dimension = self._channels
        self._whitening: Whitening | None = None
        if whitening is not None:
            self.dimension = whitening.output_dimension()
            self._whitening = Whitening.from_projection(
                whitening.mean, whitening.projection
            )

    @property
    def whitening_variables(self) -> Sequence[keras.Variable]:
        """Variables beside those of the model."""
        return self._whitening.variables if self._whitening else []

    def maps(
        self, images: tf.Tensor, scales: tf.Tensor, size: tf.Tensor
    ) -> LocalMaps:
        """Runs the network once per scale.

        Args:
            images: (batch, height, width, 3), RGB in [0, 255].
            scales: (scales,) float32 factors on the sides of the images.
            size: (2,) height and width of the photos in pixels, to which the
                coordinates refer; the images may be resized photos.
        """
        batch, channels = tf.shape(images)[0], self._channels
        empty = LocalMaps(
            tf.zeros((batch, 0, channels)),
            tf.zeros((batch, 0)),
            tf.zeros((0, 4)),
            tf.zeros((0,)),
            tf.zeros((batch, 0, self._global_dimension)),
        )
        shapes = LocalMaps(
            tf.TensorShape((None, None, channels)),
            tf.TensorShape((None, None)),
            tf.TensorShape((None, 4)),
            tf.TensorShape((None,)),
            tf.TensorShape((None, None, self._global_dimension)),
        )

        def add_scale(number, maps):
            found = self._maps_at(images, scales[number], size)
            joined = LocalMaps(
                tf.concat([maps.features, found.features], 1),
                tf.concat([maps.scores, found.scores], 1),
                tf.concat([maps.boxes, found.boxes], 0),
                tf.concat([maps.scales, found.scales], 0),
                tf.concat([maps.descriptors, found.descriptors], 1),
            )
            return number + 1, joined

        _, maps = tf.while_loop(
            lambda number, _: number < tf.size(scales),
            add_scale,
            (0, empty),
            shape_invariants=(tf.TensorShape(()), shapes),
        )
        return maps

    def _maps_at(self, images, scale, size) -> LocalMaps:
        output, sides = self._pyramid.level(images, scale)
        rows, columns = tf.unstack(tf.shape(output["scores"])[1:])
        count = rows * columns
        boxes = self._fields.boxes(rows, columns, sides, size)
        least = tf.minimum(tf.reduce_min(sides), tf.reduce_min(size))
        scores = tf.reshape(output["scores"], (-1, count))
        features = tf.reshape(output["features"], (-1, count, self._channels))
        return LocalMaps(
            features,
            tf.where(least >= LEAST_PHOTO_SIDE, scores, 0.0),
            boxes,
            tf.repeat(1.0 / scale, count),
            output["descriptors"][:, tf.newaxis]
            if self._global_dimension
            else tf.zeros((tf.shape(images)[0], 1, 0)),
        )

    def select(
        self,
        maps: LocalMaps,
        photo: tf.Tensor | int,
        most: tf.Tensor | int,
        score_threshold: tf.Tensor | float,
        iou: float = 1.0,
    ) -> dict[str, tf.Tensor]:
        """Returns the features of the highest scores of one photo.

        Args:
            maps: Positions of a batch.
            photo: Position of the photo in the batch.
            most: Most features.
            score_threshold: Least score of a feature.
            iou: Of two boxes whose intersection over union is larger, the one
                with the lower score is dropped; 1 keeps all.

        Returns:
            "boxes" (n, 4), "locations" (n, 2) y and x of their centres,
            "scales" (n,), "scores" (n,), "features" (n, channels), not
            normalized, and "descriptors" (n, dimension) of unit norm, best
            first; n may be 0.
        """
        scores = maps.scores[photo]
        above = (scores >= score_threshold) & (scores > 0)
        chosen = tf.image.non_max_suppression(
            maps.boxes,
            tf.where(above, scores, -1.0),
            most,
            iou_threshold=iou,
            score_threshold=0.0,
        )
        boxes = tf.gather(maps.boxes, chosen)
        features = tf.gather(maps.features[photo], chosen)
        descriptors = l2_normalize(features)
        if self._whitening is not None:
            descriptors = l2_normalize(self._whitening(descriptors))
        return {
            "boxes": boxes,
            "locations": (boxes[:, :2] + boxes[:, 2:]) / 2,
            "scales": tf.gather(maps.scales, chosen),
            "scores": tf.gather(scores, chosen),
            "features": features,
            "descriptors": descriptors,
        }


class _Fields:
    """Receptive fields of a network's output, for images of any size.

    The padding of strided layers depends on the remainder of an image's side
    and the stride, so there is one row of paddings per remainder.
    """

    def __init__(self, network: keras.Model):
        stride = receptive_field(network, 4096).stride
        fields = [
            [
                receptive_field(network, _WHOLE_STRIDES * stride + rest, axis)
                for axis in (0, 1)
            ]
            for rest in range(stride)
        ]
        self._stride = stride
        self._ends = np.array([field.size - 1 for field in fields[0]], "f4")
        self._paddings = np.array(
            [[field.padding for field in row] for row in fields], "f4"
        )

    def boxes(self, rows, columns, sides, size) -> tf.Tensor:
        """Returns the (rows * columns, 4) fields, in pixels of the photo.

        Args:
            rows, columns: Shape of the map.
            sides: (2,) of the resized image that the network saw.
            size: (2,) of the photo.
        """
        corners = []
        factors = tf.cast(size, tf.float32) / tf.cast(sides, tf.float32)
        for axis, count in enumerate((rows, columns)):
            padding = tf.gather(
                self._paddings[:, axis], sides[axis] % self._stride
            )
            start = tf.cast(tf.range(count) * self._stride, tf.float32)
            start -= padding
            for edge in (start, start + self._ends[axis]):
                # Resizing keeps the corners of the image, half a pixel before
                # the centre of its first pixel.
                corners.append((edge + 0.5) * factors[axis] - 0.5)
        y0, y1 = (tf.repeat(edge, columns) for edge in corners[:2])
        x0, x1 = (tf.tile(edge, [rows]) for edge in corners[2:])
        return tf.stack([y0, x0, y1, x1], axis=1)

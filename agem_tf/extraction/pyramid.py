"""Descriptors of a batch of images, at one or several scales.

Images that are not stretched to squares come padded. They run without their
padding in groups of equal shape, or, where a compiler wants static shapes, all
at once through a network that does not see it; either gives the same
descriptors.
"""

import functools
from collections.abc import Sequence

import keras
import tensorflow as tf

from agem_tf.config import CANVAS_MULTIPLE, ImageConfig
from agem_tf.errors import UserError
from agem_tf.models import AGeM
from agem_tf.models.canvas_padding import padded
from agem_tf.models.folding import folded
from agem_tf.ops.canvas_masks import resize_inside
from agem_tf.ops.normalization import l2_normalize


class Describer:
    """Describes images in the way that suits how they were resized.

    Args:
        model: maps (batch, height, width, 3) in [0, 255] to descriptors.
        image: how photos are resized and padded.
        scales: factors on the images' sides.
        learned: the variables that learn, if descriptors are for training:
            layers behave so, and fixed batch normalizations are folded, which
            saves memory and time.

    Raises:
        UserError: the photos are to be padded, and the network has a layer
            that cannot tell padding apart.
    """

    def __init__(
        self,
        model: AGeM,
        image: ImageConfig,
        scales: Sequence[float] = (1.0,),
        learned: Sequence[keras.Variable] | None = None,
    ):
        self._model, self._image, self._scales = model, image, scales
        self._training = learned is not None
        self._network = _padded(model) if image.buckets else model
        if learned is not None:
            self._network = folded(self._network, learned)

    def __call__(
        self,
        images: tf.Tensor,
        valid: tf.Tensor,
        power: tf.Tensor | float = 1.0,
    ) -> tf.Tensor:
        """Computes the descriptors of a batch; arguments as of `describe`."""
        if self._image.buckets:
            return self._describe_padded(images, valid, power)
        if self._image.resize == "square":
            valid = None
        return describe(
            self._model,
            images,
            valid,
            self._scales,
            power,
            self._training,
            self._network,
        )

    def _describe_padded(self, images, valid, power):
        images = tf.cast(images, tf.float32)
        descriptors = [
            self._network(
                self._scaled_inside(images, valid, scale),
                training=self._training,
            )
            for scale in self._scales
        ]
        return merge_scales(descriptors, power)

    def _scaled_inside(self, images, extents, scale):
        """As `_scaled`, for images in the corner of a canvas."""
        if scale == 1.0:
            return images, extents
        least = self._model.least_side()
        canvas = [
            -(-max(int(side * scale), least) // CANVAS_MULTIPLE)
            * CANVAS_MULTIPLE
            for side in images.shape[1:3]
        ]
        sides = _scaled_sides(extents, scale, least)
        return resize_inside(images, extents, sides, canvas), sides


def describe(
    model: AGeM,
    images: tf.Tensor,
    valid: tf.Tensor | None,
    scales: Sequence[float] = (1.0,),
    power: tf.Tensor | float = 1.0,
    training: bool = False,
    network: keras.Model | None = None,
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
        network: called in the model's place, if another computes the same.

    Returns:
        (batch, dimension) float32, L2-normalised.
    """
    call = functools.partial(network or model, training=training)

    def describe_scales(images):
        images = tf.cast(images, tf.float32)
        descriptors = [call(_scaled(images, scale, model)) for scale in scales]
        return merge_scales(descriptors, power)

    if valid is None:
        return describe_scales(images)
    shapes, group = tf.raw_ops.UniqueV2(x=valid, axis=[0])

    def describe_group(number, descriptors):
        members = tf.where(group == number)
        height, width = shapes[number][0], shapes[number][1]
        cropped = tf.gather(images, members[:, 0])[:, :height, :width]
        return number + 1, tf.tensor_scatter_nd_update(
            descriptors, members, describe_scales(cropped)
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


def _padded(model: AGeM) -> keras.Model:
    try:
        return padded(model)
    except ValueError as error:
        raise UserError(f"{error}") from error


def _scaled(images: tf.Tensor, scale: float, model: AGeM) -> tf.Tensor:
    """Bilinear without antialiasing, as the reference."""
    if scale == 1.0:
        return images
    sides = _scaled_sides(tf.shape(images)[1:3], scale, model.least_side())
    return tf.image.resize(images, sides, method="bilinear", antialias=False)


def _scaled_sides(sides: tf.Tensor, scale: float, least: int) -> tf.Tensor:
    """Rounded down, as the reference.

    Only a side from which the network would have no map left is kept larger.
    """
    scaled = tf.floor(tf.cast(sides, tf.float32) * scale)
    return tf.maximum(tf.cast(scaled, tf.int32), least)

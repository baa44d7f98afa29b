"""Runs a network over a batch of photos at several scales.

Photos that are not stretched to squares lie in the corner of a canvas. They run
either without their padding, in groups of equal shape, or, where a compiler
needs static shapes, all at once through a network that ignores the padding.
Both give the same descriptors.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from agem_tf.config import CANVAS_MULTIPLE, ImageConfig
from agem_tf.errors import UserError
from agem_tf.extraction.folding import folded
from agem_tf.models import AGeM
from agem_tf.models.canvas_padding import padded
from agem_tf.models.rematerialization import rematerialized
from agem_tf.ops.canvas_masks import resize_inside
from agem_tf.ops.normalization import l2_normalize


class Level(NamedTuple):
    """Output of the network at one scale.

    Attributes:
        output: (batch, ...) output of the network.
        sides: (batch, 2) int32 height and width in pixels at which the network
            saw each photo. A position p at this scale is p * original side /
            side in the photo.
    """

    output: tf.Tensor
    sides: tf.Tensor


class ScalePyramid:
    """A network and the scales at which photos pass through it.

    Args:
        model: maps (batch, height, width, 3) in [0, 255] to descriptors.
        image: how photos are resized and padded.
        scales: factors on the sides of the photos.
        trained: the variables that are trained. Fixed batch normalizations are
            folded into their convolutions, which saves memory and time, but
            for trained ones after a convolution that is not.
        network: called instead of the model; a function is called as it is.
        remat: whether the gradients of what is trained compute activations
            again.
        resize_by: see `ExtractionConfig`.

    Raises:
        UserError: photos are padded, and a layer of the model can't ignore
            the padding.
    """

    def __init__(
        self,
        model: AGeM,
        image: ImageConfig,
        scales: Sequence[float] = (1.0,),
        trained: Sequence[keras.Variable] = (),
        network: Callable[..., tf.Tensor] | None = None,
        remat: bool = False,
        resize_by: str = "sizes",
    ):
        self._model, self._image, self._scales = model, image, tuple(scales)
        self._network = network or model
        self._by_factor = resize_by == "factor"
        if image.buckets:
            try:
                self._network = padded(model)
            except ValueError as error:
                raise UserError(f"{error}") from error
        if isinstance(self._network, keras.Model):
            self._network = folded(self._network, trained)
        if remat:
            self._network = rematerialized(self._network)

    def levels(
        self,
        images: tf.Tensor,
        valid: tf.Tensor | None = None,
        training: bool = False,
    ) -> list[Level]:
        """Runs the network once per scale.

        Args:
            images: (batch, height, width, 3), uint8 or float in [0, 255].
            valid: (batch, 2) int32 height and width of the part of each image
                that is not padding, with `image.buckets`; without them, None.
            training: passed to the network.

        Returns:
            One level per scale, in the order of the scales.
        """
        images = tf.cast(images, tf.float32)
        levels = []
        for scale in self._scales:
            if valid is None:
                output, shape = self.level(images, scale, training)
                sides = tf.tile(shape[tf.newaxis], [tf.shape(images)[0], 1])
            else:
                inputs = self._scaled_inside(images, valid, scale)
                sides = inputs[1]
                output = self._network(inputs, training=training)
            levels.append(Level(output, sides))
        return levels

    def level(
        self,
        images: tf.Tensor,
        scale: tf.Tensor | float,
        training: bool = False,
    ) -> tuple[Any, tf.Tensor]:
        """Runs the network at one scale, which may be a tensor.

        Args:
            images: (batch, height, width, 3) float in [0, 255], not padded.
            scale: factor on the sides.
            training: passed to the network.

        Returns:
            The network's output, and the (2,) int32 height and width in pixels
            at which it saw the photos.
        """
        inputs = self._scaled(images, scale)
        output = self._network(inputs, training=training)
        return output, tf.shape(inputs)[1:3]

    def descriptors(
        self,
        images: tf.Tensor,
        valid: tf.Tensor | None = None,
        training: bool = False,
    ) -> tf.Tensor:
        """Computes one descriptor per photo from all scales.

        Args:
            images: (batch, height, width, 3), uint8 or float in [0, 255].
            valid: (batch, 2) int32 height and width of the part of each image
                that is not padding; None if no image is padded.
            training: passed to the network.

        Returns:
            (batch, dimension) float32, L2-normalized.
        """
        if self._image.resize == "square" and not self._image.buckets:
            valid = None
        if valid is None or self._image.buckets:
            return self._merged(images, valid, training)
        shapes, group = tf.raw_ops.UniqueV2(x=valid, axis=[0])

        def run_group(number, descriptors):
            members = tf.where(group == number)
            height, width = shapes[number][0], shapes[number][1]
            cropped = tf.gather(images, members[:, 0])[:, :height, :width]
            return number + 1, tf.tensor_scatter_nd_update(
                descriptors, members, self._merged(cropped, None, training)
            )

        dimension = self._model.output_shape[-1]
        _, descriptors = tf.while_loop(
            lambda number, _: number < tf.shape(shapes)[0],
            run_group,
            (0, tf.zeros((tf.shape(images)[0], dimension))),
            shape_invariants=(
                tf.TensorShape(()),
                tf.TensorShape((None, dimension)),
            ),
            # One shape's activations at a time. And TensorFlow's convolutions
            # with a fused sum are wrong when two iterations overlap.
            parallel_iterations=1,
        )
        return descriptors

    def _merged(self, images, valid, training):
        levels = self.levels(images, valid, training)
        return merge_scales(
            [level.output for level in levels],
            _merging_exponent(self._model, len(levels)),
        )

    def _scaled(self, images, scale):
        """Resizes bilinearly without antialiasing, as the reference does."""
        if not tf.is_tensor(scale) and scale == 1.0:
            return images
        extent = tf.shape(images)[1:3]
        sides = self._scaled_sides(extent, scale)
        # The same as tf.image.resize, of which XLA makes a dilated convolution
        # that took 100 times the memory of the network.
        is_static = images.shape[1:3].is_fully_defined()
        if self._by_factor or is_static:
            extents, new_extents = (
                tf.tile(each[tf.newaxis], [tf.shape(images)[0], 1])
                for each in (extent, sides)
            )
            factor = scale if self._by_factor else None
            return resize_inside(images, extents, new_extents, sides, factor)
        return tf.image.resize(images, sides, "bilinear", antialias=False)

    def _scaled_inside(self, images, extents, scale):
        """As `_scaled`, for photos in the corner of a canvas."""
        if scale == 1.0:
            return images, extents
        least = self._model.least_side()
        canvas = [
            -(-max(int(side * scale), least) // CANVAS_MULTIPLE)
            * CANVAS_MULTIPLE
            for side in images.shape[1:3]
        ]
        sides = self._scaled_sides(extents, scale)
        factor = scale if self._by_factor else None
        return resize_inside(images, extents, sides, canvas, factor), sides

    def _scaled_sides(self, sides, scale):
        """Rounds down, as the reference does.

        Only a side that would leave the network no map is kept larger.
        """
        scaled = tf.floor(tf.cast(sides, tf.float32) * scale)
        return tf.maximum(tf.cast(scaled, tf.int32), self._model.least_side())


def merge_scales(
    descriptors: Sequence[tf.Tensor], exponent: tf.Tensor | float
) -> tf.Tensor:
    """Generalized mean over scales: L2((mean_s f_s^exponent)^(1/exponent)).

    Args:
        descriptors: (batch, dimension) each; non-negative unless the exponent
            is 1.
        exponent: exponent of the mean; 1 is the arithmetic mean.
    """
    if len(descriptors) == 1:
        return descriptors[0]
    mean = tf.reduce_mean(tf.stack(descriptors) ** exponent, axis=0)
    return l2_normalize(mean ** (1.0 / exponent))


def _merging_exponent(model: AGeM, num_scales: int) -> tf.Tensor | float:
    """Returns the exponent of `merge_scales`: GeM's p where it is defined.

    The reference uses the learned p for plain GeM at several scales and 1 for
    everything else (other poolings, regional, a whitening layer, one p per
    channel).
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
    return tf.convert_to_tensor(pooling.exponent.value)

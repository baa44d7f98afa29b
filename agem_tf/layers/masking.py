"""Masks and overwritten padding, for networks on padded photos."""

import keras
from keras import ops

from agem_tf.ops import canvas_masks


@keras.saving.register_keras_serializable(package="agem_tf")
class PaddingMask(keras.layers.Layer):
    """Mask of the positions of a map that are not padding.

    Input shape:
        `(batch, height, width, channels)`, and `(batch, 2)` integers: the rows
        and columns of each photo.

    Output shape:
        `(batch, height, width)`, booleans that are true inside the photos.

    Example:

    >>> PaddingMask()(keras.ops.zeros((1, 2, 3, 8)), [[1, 2]])
    >>> # [[[True, True, False], [False, False, False]]]
    """

    def call(self, inputs, extents):
        height, width = ops.shape(inputs)[1:3]
        return canvas_masks.valid_mask(extents, height, width)


@keras.saving.register_keras_serializable(package="agem_tf")
class ZeroOutside(keras.layers.Layer):
    """Overwrites the padding of a map.

    With `kernel_size` it also moves odd photos by one position, to where a
    layer of stride 2 with "same" padding expects an unpadded photo; see
    `ops.canvas_masks.align_phase`.

    Args:
        value: Value of the padding.
        kernel_size: Kernel size of the layer that follows; 0 moves nothing.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Input shape:
        `(batch, height, width, channels)`, and `(batch, 2)` integers: the rows
        and columns of each photo.

    Output shape:
        Shape of the first input.

    Example:

    >>> ZeroOutside()(keras.ops.ones((1, 1, 3, 1)), [[1, 2]])
    >>> # [[[[1.0], [1.0], [0.0]]]]
    """

    def __init__(self, value=0.0, kernel_size=0, **kwargs):
        super().__init__(**kwargs)
        self.value = value
        self.kernel_size = kernel_size

    def call(self, inputs, extents):
        height, width = ops.shape(inputs)[1:3]
        valid = canvas_masks.valid_mask(extents, height, width)
        inside = canvas_masks.zero_padding(inputs, valid, self.value)
        if not self.kernel_size:
            return inside
        return canvas_masks.align_phase(
            inside, extents, self.kernel_size, self.value
        )

    def get_config(self):
        return super().get_config() | {
            "value": self.value,
            "kernel_size": self.kernel_size,
        }

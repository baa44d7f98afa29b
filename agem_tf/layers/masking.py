"""What a network on padded photos needs between its layers."""

import keras
from keras import ops

from agem_tf.ops import canvas_masks


@keras.saving.register_keras_serializable(package="agem_tf")
class PaddingMask(keras.layers.Layer):
    """Tells the photos of a map from their padding.

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

    With `kernel_size` it also moves photos to where a layer of that size, of
    stride 2 and with "same" padding, would centre them on their own; see
    `ops.padding.align_phase`.

    Args:
        value: what to write.
        kernel_size: of the layer that follows; 0 moves nothing.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Input shape:
        `(batch, height, width, channels)`, and `(batch, 2)` integers: the rows
        and columns of each photo.

    Output shape:
        The first.
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

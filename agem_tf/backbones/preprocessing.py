"""Scaling of pixel values to what a network was trained on, as a layer.

Preprocessing inside the graph cannot be forgotten by a caller, and travels with
an exported model.
"""

from collections.abc import Sequence

import keras
from keras import ops

# Arguments of `ChannelScaling` for networks trained in Caffe and in PyTorch.
CAFFE = {"mean": (103.939, 116.779, 123.68), "reverse_channels": True}
TORCH = {
    "mean": (123.675, 116.28, 103.53),
    "deviation": (58.395, 57.12, 57.375),
}


@keras.saving.register_keras_serializable(package="agem_tf")
class ChannelScaling(keras.layers.Layer):
    """Subtracts a mean from each channel and divides by a deviation.

    `y_c = (x_c - mean_c) / deviation_c`

    Computes in float32 by default, whatever the global policy is: bfloat16 has
    8 significant bits, too few for the values of a resized photo, and the next
    layer casts anyway.

    Args:
        mean: Three values in the order of the network's channels.
        deviation: Three values in the same order.
        reverse_channels: Whether RGB becomes BGR first, as networks trained in
            Caffe expect.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Input shape:
        (batch, height, width, 3), RGB in [0, 255].

    Output shape:
        The same.

    Example:
        >>> ChannelScaling((127,) * 3, (128,) * 3)(images)  # about [-1, 1]
    """

    def __init__(
        self,
        mean: Sequence[float],
        deviation: Sequence[float] = (1.0, 1.0, 1.0),
        reverse_channels: bool = False,
        **kwargs,
    ):
        super().__init__(**{"dtype": "float32", **kwargs})
        if len(mean) != 3:
            raise ValueError(
                f"`mean` must hold three values. Received: mean={mean}"
            )
        if len(deviation) != 3 or min(deviation) <= 0:
            raise ValueError(
                "`deviation` must hold three positive values. "
                f"Received: deviation={deviation}"
            )
        self.mean = tuple(mean)
        self.deviation = tuple(deviation)
        self.reverse_channels = reverse_channels

    def call(self, images):
        if self.reverse_channels:
            images = ops.flip(images, axis=-1)
        mean = ops.convert_to_tensor(self.mean, self.compute_dtype)
        deviation = ops.convert_to_tensor(self.deviation, self.compute_dtype)
        return (images - mean) / deviation

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "mean": self.mean,
            "deviation": self.deviation,
            "reverse_channels": self.reverse_channels,
        }


def image_input() -> keras.KerasTensor:
    """Returns the symbolic input of every backbone: RGB of any size."""
    return keras.Input((None, None, 3), name="images")

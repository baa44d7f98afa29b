"""Scaling of pixel values to what a network was trained on, as a layer.

Preprocessing inside the graph cannot be forgotten by a caller, and travels with
an exported model.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from agem_tf.backbones.backbone import Backbone, copy_layer

# Arguments of `ChannelScaling`: what networks trained in Caffe, and those
# trained in PyTorch, expect.
CAFFE = {"mean": (103.939, 116.779, 123.68), "reverse_channels": True}
TORCH = {
    "mean": (123.675, 116.28, 103.53),
    "deviation": (58.395, 57.12, 57.375),
}


@keras.saving.register_keras_serializable(package="agem_tf")
class ChannelScaling(keras.layers.Layer):
    """Subtracts a mean from each channel and divides by a deviation.

    Computes in float32 whatever the global policy is: bfloat16 keeps 8 bits,
    too few for a resized photo's values, and the next layer casts anyway.

    Args:
        mean: Three values in the order of the network's channels.
        deviation: Three values in the same order.
        reverse_channels: Turn RGB into BGR first, as networks trained in Caffe
            expect.

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


def image_input():
    """Returns the symbolic input of every backbone: RGB of any size."""
    return keras.Input((None, None, 3), name="images")


def replace_scaling(backbone: Backbone, options: Mapping[str, Any]) -> Backbone:
    """Returns the backbone with another scaling of pixel values.

    Args:
        backbone: A network whose graph begins with a `ChannelScaling`.
        options: Arguments of the one that takes its place.

    Raises:
        ValueError: the network has no such layer, or `options` do not fit it.
    """
    if not any(isinstance(step, ChannelScaling) for step in backbone.layers):
        raise ValueError(
            f"{backbone.name} scales its images in layers of its own. "
            f"Received: preprocessing={options}"
        )

    def replace(layer: keras.layers.Layer) -> keras.layers.Layer:
        if isinstance(layer, ChannelScaling):
            return ChannelScaling(**options, name=layer.name)
        return copy_layer(layer)

    return backbone.rewrite(replace_layer=replace)

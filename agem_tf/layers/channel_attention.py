"""CBAM's first gate: which channels matter."""

import keras
from keras import ops

from agem_tf.ops.pooling import mac, spoc


@keras.saving.register_keras_serializable(package="agem_tf")
class ChannelAttention(keras.layers.Layer):
    """Multiplies every channel by a weight in (0, 1).

    `y = x * sigmoid(MLP(mean over positions) + MLP(max over positions))`

    Both share one perceptron with biases: channels, then `channels //
    reduction` units with ReLU (at least one), then channels.

    The paper trains from scratch and leaves the start open. Here every weight
    starts at exactly 0.5 (interpretation), so that the gate enters a pretrained
    network without disturbing the proportions of its channels.

    Args:
        reduction: how many times smaller the hidden layer is, at least 1.
        logits_initializer: of the kernel in front of the sigmoid, as Keras
            names it; "glorot_uniform" starts the weights at random near 0.5.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Input shape:
        `(batch, height, width, channels)`.

    Output shape:
        The same.

    Example:

    >>> ChannelAttention()(keras.random.uniform((2, 7, 9, 64)))

    Reference:
        [Woo et al., 2018](https://arxiv.org/abs/1807.06521)
    """

    def __init__(self, reduction=16, logits_initializer="zeros", **kwargs):
        super().__init__(**kwargs)
        if reduction < 1:
            raise ValueError(
                "`reduction` must be at least 1. "
                f"Received: reduction={reduction}"
            )
        self.reduction = reduction
        self.logits_initializer = logits_initializer
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def build(self, input_shape):
        channels = input_shape[-1]
        units = max(channels // self.reduction, 1)
        self.hidden = keras.layers.Dense(
            units, activation="relu", name="hidden", dtype=self.dtype_policy
        )
        self.logits = keras.layers.Dense(
            channels,
            kernel_initializer=self.logits_initializer,
            name="logits",
            dtype=self.dtype_policy,
        )
        self.hidden.build((None, channels))
        self.logits.build((None, units))

    def call(self, inputs, valid=None):
        return inputs * self.attention(inputs, valid)

    def attention(self, inputs, valid=None):
        """Returns the channels' weights, (batch, 1, 1, channels).

        Args:
            inputs: feature map that the built layer would be called with.
            valid: (batch, height, width) booleans, false where the map is
                padding.
        """
        logits = sum(
            self.logits(self.hidden(pool(inputs, valid)))
            for pool in (spoc, mac)
        )
        return ops.sigmoid(logits)[:, None, None, :]

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return super().get_config() | {
            "reduction": self.reduction,
            "logits_initializer": self.logits_initializer,
        }

"""CBAM's first gate: which channels matter.

CBAM's second gate: which places matter.

The convolutional block attention module.
"""

import keras
from keras import ops

from agem_tf.layers.batch_normalization import (
    batch_normalization,
    check_batch_norm,
)
from agem_tf.ops.canvas_masks import zero_padding
from agem_tf.ops.pooling import mac, spoc
from agem_tf.ops.precision import in_float32


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


@keras.saving.register_keras_serializable(package="agem_tf")
class SpatialAttention(keras.layers.Layer):
    """Multiplies every position by a weight in (0, 1).

    `y = x * sigmoid(BN(conv([max over channels, mean over channels])))`

    The convolution has one filter and no bias. The batch normalization's gamma
    starts at 0, so that the untrained weight is exactly 0.5 everywhere, which
    L2 normalization undoes.

    Args:
        kernel_size: side of the convolution, odd.
        batch_norm: `"trainable"`, or `"frozen_statistics"`, under which only
            gamma and beta are trained.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Input shape:
        `(batch, height, width, channels)`.

    Output shape:
        The same.

    Example:

    >>> SpatialAttention()(keras.random.uniform((2, 7, 9, 64)))

    Reference:
        [Woo et al., 2018](https://arxiv.org/abs/1807.06521)
    """

    def __init__(self, kernel_size=7, batch_norm="trainable", **kwargs):
        super().__init__(**kwargs)
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(
                "`kernel_size` must be odd and above 0. "
                f"Received: kernel_size={kernel_size}"
            )
        check_batch_norm(batch_norm)
        self.kernel_size = kernel_size
        self.batch_norm = batch_norm
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def build(self, input_shape):
        self.convolution = keras.layers.Conv2D(
            1,
            self.kernel_size,
            padding="same",
            data_format="channels_last",
            use_bias=False,
            name="convolution",
            dtype=self.dtype_policy,
        )
        self.normalization = batch_normalization(
            self.batch_norm,
            gamma_initializer="zeros",
            name="normalization",
            dtype=self.dtype_policy,
        )
        self.convolution.build((*input_shape[:-1], 2))
        self.normalization.build((*input_shape[:-1], 1))

    def call(self, inputs, training=None, valid=None):
        return inputs * self.attention(inputs, training=training, valid=valid)

    def attention(self, inputs, training=False, valid=None):
        """Returns the positions' weights, (batch, height, width, 1).

        Args:
            inputs: feature map that the built layer would be called with.
            training: as of the layer's call.
            valid: (batch, height, width) booleans, false where the map is
                padding.
        """
        statistics = zero_padding(_channel_statistics(inputs), valid)
        logits = self.convolution(statistics)
        return ops.sigmoid(self.normalization(logits, training=training))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return super().get_config() | {
            "kernel_size": self.kernel_size,
            "batch_norm": self.batch_norm,
        }


@in_float32
def _channel_statistics(x):
    statistics = [
        reduce(x, -1, keepdims=True) for reduce in (ops.max, ops.mean)
    ]
    return ops.concatenate(statistics, axis=-1)


@keras.saving.register_keras_serializable(package="agem_tf")
class CBAM(keras.layers.Layer):
    """Channel attention, then spatial attention.

    `y = spatial(channel(x))`, the gates of `ChannelAttention` and
    `SpatialAttention`

    An untrained module multiplies the map by exactly 0.5 in space and, with the
    default initializer, by 0.5 in every channel: features start at a quarter. A
    descriptor that is L2-normalized does not change by a constant factor; a
    network that continues after the module does.

    Args:
        reduction: of `ChannelAttention`.
        kernel_size: of `SpatialAttention`.
        batch_norm: of `SpatialAttention`.
        logits_initializer: of `ChannelAttention`.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Input shape:
        `(batch, height, width, channels)`.

    Output shape:
        The same.

    Example:

    >>> CBAM()(keras.random.uniform((2, 7, 9, 64)))

    Reference:
        [Woo et al., 2018](https://arxiv.org/abs/1807.06521)
    """

    def __init__(
        self,
        reduction=16,
        kernel_size=7,
        batch_norm="trainable",
        logits_initializer="zeros",
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_batch_norm(batch_norm)
        self.reduction = reduction
        self.kernel_size = kernel_size
        self.batch_norm = batch_norm
        self.logits_initializer = logits_initializer
        self.channel = ChannelAttention(
            reduction,
            logits_initializer,
            name="channel",
            dtype=self.dtype_policy,
        )
        self.spatial = SpatialAttention(
            kernel_size, batch_norm, name="spatial", dtype=self.dtype_policy
        )
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def build(self, input_shape):
        self.channel.build(input_shape)
        self.spatial.build(input_shape)

    def call(self, inputs, training=None, valid=None):
        attended = self.channel(inputs, valid=valid)
        return self.spatial(attended, training=training, valid=valid)

    def attention(self, inputs):
        """Returns the spatial weights, (batch, height, width, 1).

        Args:
            inputs: feature map that the built layer would be called with.
        """
        return self.spatial.attention(self.channel(inputs))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return super().get_config() | {
            "reduction": self.reduction,
            "kernel_size": self.kernel_size,
            "batch_norm": self.batch_norm,
            "logits_initializer": self.logits_initializer,
        }

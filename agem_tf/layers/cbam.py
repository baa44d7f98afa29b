"""The convolutional block attention module (CBAM) and its two gates.

`ChannelAttention` weights the channels of a map, then `SpatialAttention` its
positions.

Reference: https://arxiv.org/abs/1807.06521
"""

import keras
from keras import ops

from agem_tf.layers.batch_normalization import (
    batch_normalization,
    check_batch_norm,
)
from agem_tf.ops.argument_checks import check_at_least
from agem_tf.ops.canvas_masks import zero_padding
from agem_tf.ops.pooling import mac, spoc
from agem_tf.ops.precision import in_float32


@keras.saving.register_keras_serializable(package="agem_tf")
class ChannelAttention(keras.layers.Layer):
    """Weights in (0, 1) for the channels of a map.

    `y = x * sigmoid(MLP(mean over positions) + MLP(max over positions))`

    Both terms share one perceptron with biases, whose hidden layer has
    `max(channels // reduction, 1)` units with ReLU.

    The paper trains from scratch and does not give the initial weights. Here
    every weight starts at exactly 0.5 (interpretation), so that the gate keeps
    the proportions between the channels of a pretrained network.

    Args:
        reduction: Ratio of the channels to the hidden units, at least 1.
        logits_initializer: Initializer of the kernel before the sigmoid;
            "glorot_uniform" starts the weights at random near 0.5.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Input shape:
        `(batch, height, width, channels)`.

    Output shape:
        Same shape as the input.

    Example:

    >>> ChannelAttention()(keras.random.uniform((2, 7, 9, 64)))

    Reference:
        [Woo et al., 2018](https://arxiv.org/abs/1807.06521)
    """

    def __init__(self, reduction=16, logits_initializer="zeros", **kwargs):
        super().__init__(**kwargs)
        check_at_least(1, reduction=reduction)
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
        """Returns the weights of the channels, (batch, 1, 1, channels).

        Args:
            inputs: Feature map, as for a call of the built layer.
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
    """Weights in (0, 1) for the positions of a map.

    `y = x * sigmoid(BN(conv([max over channels, mean over channels])))`

    The convolution has one filter and no bias. The batch normalization's gamma
    starts at 0: the initial weights are exactly 0.5 everywhere, a factor that
    L2 normalization removes.

    Args:
        kernel_size: Side of the convolution, odd.
        batch_norm: `"trainable"`, or `"frozen_statistics"` to train gamma and
            beta only.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Input shape:
        `(batch, height, width, channels)`.

    Output shape:
        Same shape as the input.

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
        """Returns the weights of the positions, (batch, height, width, 1).

        Args:
            inputs: Feature map, as for a call of the built layer.
            training: Whether batch statistics are used and updated.
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

    An untrained module with the default initializer divides the map by exactly
    4. This does not change an L2-normalized descriptor of the map, but it does
    change the layers of a network that follow the module.

    Args:
        reduction: Ratio of the channels to the hidden units of
            `ChannelAttention`, at least 1.
        kernel_size: Side of the convolution in `SpatialAttention`, odd.
        batch_norm: Batch normalization in `SpatialAttention`: `"trainable"`, or
            `"frozen_statistics"` to train gamma and beta only.
        logits_initializer: Initializer of the kernel before the sigmoid of
            `ChannelAttention`.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Input shape:
        `(batch, height, width, channels)`.

    Output shape:
        Same shape as the input.

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
            inputs: Feature map, as for a call of the built layer.
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

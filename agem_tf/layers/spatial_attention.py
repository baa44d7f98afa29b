"""CBAM's second gate: which places matter."""

import keras
from keras import ops

from agem_tf.layers.batch_normalization import (
    batch_normalization,
    check_batch_norm,
)
from agem_tf.ops.padding import zero_padding
from agem_tf.ops.precision import in_float32


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

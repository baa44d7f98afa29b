"""The convolutional block attention module."""

import keras

from agem_tf.layers.batch_normalization import check_batch_norm
from agem_tf.layers.channel_attention import ChannelAttention
from agem_tf.layers.spatial_attention import SpatialAttention


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

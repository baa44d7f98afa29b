"""Maximum pooling of a feature map."""

import keras

from agem_tf.layers.global_pooling import GlobalPooling
from agem_tf.ops.pooling import mac


@keras.saving.register_keras_serializable(package="agem_tf")
class MAC(GlobalPooling):
    """Maximum activation of each channel.

    `f_c = max over positions of x_c`

    Input shape:
        `(batch, height, width, channels)`.

    Output shape:
        `(batch, channels)`.

    Example:

    >>> MAC()(keras.random.uniform((2, 7, 9, 16))).shape  # (2, 16)

    Reference:
        [Tolias et al., 2016](https://arxiv.org/abs/1511.05879)
    """

    def call(self, inputs, valid=None):
        return mac(inputs, valid)

"""Average pooling of a feature map."""

import keras

from agem_tf.layers.global_pooling import GlobalPooling
from agem_tf.ops.pooling import spoc


@keras.saving.register_keras_serializable(package="agem_tf")
class SPoC(GlobalPooling):
    """Mean activation of each channel, without the centre prior of the paper.

    `f_c = mean over positions of x_c`

    The paper sums; after L2 normalization the mean is the same descriptor.

    Input shape:
        `(batch, height, width, channels)`.

    Output shape:
        `(batch, channels)`.

    Example:

    >>> SPoC()(keras.random.uniform((2, 7, 9, 16))).shape  # (2, 16)

    Reference:
        [Babenko and Lempitsky, 2015](https://arxiv.org/abs/1510.07493)
    """

    def call(self, inputs, valid=None):
        return spoc(inputs, valid)

"""Selective pooling: only the main object of a feature map is described."""

import keras

from agem_tf.layers.global_pooling import GlobalPooling
from agem_tf.ops.pooling import scda


@keras.saving.register_keras_serializable(package="agem_tf")
class SCDA(GlobalPooling):
    """Mean and maximum inside the largest region of high activation.

    With `A = sum over channels of x`, positions where `A > mean(A)` are
    candidates, and M is their largest connected component:

    `f = [mean over M of x, max over M of x]`

    Where no position exceeds the mean (a constant map), M is the whole map. No
    gradient flows through the choice of M.

    Args:
        connectivity: 8 where positions that touch at a corner are connected, 4
            where they are not.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Input shape:
        `(batch, height, width, channels)`.

    Output shape:
        `(batch, 2 * channels)`, the means first.

    Example:

    >>> SCDA()(keras.random.uniform((2, 7, 9, 16))).shape  # (2, 32)

    Reference:
        [Wei et al., 2017](https://arxiv.org/abs/1604.04994)
    """

    def __init__(self, connectivity=8, **kwargs):
        super().__init__(**kwargs)
        if connectivity not in (4, 8):
            raise ValueError(
                "`connectivity` must be 4 or 8. "
                f"Received: connectivity={connectivity}"
            )
        self.connectivity = connectivity

    def call(self, inputs):
        return scda(inputs, self.connectivity)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], 2 * input_shape[-1])

    def get_config(self):
        return super().get_config() | {"connectivity": self.connectivity}

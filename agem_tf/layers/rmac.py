"""Regional maximum pooling."""

import keras

from agem_tf.layers.global_pooling import GlobalPooling
from agem_tf.ops.pooling import rmac


@keras.saving.register_keras_serializable(package="agem_tf")
class RMAC(GlobalPooling):
    """Sum of the L2-normalized maxima of regions.

    `f = L2N(MAC(x)) + sum over regions R of L2N(MAC(x[R]))`

    The regions are overlapping squares on several scales, laid out by
    `agem_tf.ops.rmac_regions`. The sum is not normalized again.

    Args:
        levels: number of scales, at least 1.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Input shape:
        `(batch, height, width, channels)`; height and width may be unknown.

    Output shape:
        `(batch, channels)`.

    Example:

    >>> RMAC(levels=3)(keras.random.uniform((2, 7, 9, 16))).shape  # (2, 16)

    Reference:
        [Tolias et al., 2016](https://arxiv.org/abs/1511.05879)
    """

    def __init__(self, levels=3, **kwargs):
        super().__init__(**kwargs)
        if levels < 1:
            raise ValueError(
                f"`levels` must be at least 1. Received: levels={levels}"
            )
        self.levels = levels

    def call(self, inputs):
        return rmac(inputs, self.levels)

    def get_config(self):
        return super().get_config() | {"levels": self.levels}

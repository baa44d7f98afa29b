"""Cross-dimensional weighting: active places and rare channels count more."""

import keras

from agem_tf.layers.global_pooling import GlobalPooling
from agem_tf.ops.pooling import crow


@keras.saving.register_keras_serializable(package="agem_tf")
class CroW(GlobalPooling):
    """Sum of features weighted by place and by channel.

    With `S = sum over channels of x` and `Q_c` the share of positions where
    channel c is above 0:

    `f_c = log((sum of Q + epsilon) / (Q_c + epsilon)) * sum over positions of
    x_c * (S / ||S||_2) ** (1 / 2)`

    which is the paper's choice a = b = 2. Gradients flow through the spatial
    weights; the channel weights are piecewise constant.

    Args:
        epsilon: keeps the logarithm finite for channels that are never active,
            above 0.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Input shape:
        `(batch, height, width, channels)`, non-negative features.

    Output shape:
        `(batch, channels)`.

    Example:

    >>> CroW()(keras.random.uniform((2, 7, 9, 16))).shape  # (2, 16)

    Reference:
        [Kalantidis et al., 2016](https://arxiv.org/abs/1512.04065)
    """

    def __init__(self, epsilon=1e-6, **kwargs):
        super().__init__(**kwargs)
        if epsilon <= 0:
            raise ValueError(
                f"`epsilon` must be above 0. Received: epsilon={epsilon}"
            )
        self.epsilon = epsilon

    def call(self, inputs, valid=None):
        return crow(inputs, self.epsilon, valid)

    def get_config(self):
        return super().get_config() | {"epsilon": self.epsilon}

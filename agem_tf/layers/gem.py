"""Generalized-mean pooling, the descriptor that AGeM builds on."""

import keras

from agem_tf.layers.global_pooling import GlobalPooling
from agem_tf.ops.pooling import gem


@keras.saving.register_keras_serializable(package="agem_tf")
class GeM(GlobalPooling):
    """Generalized mean of a feature map, with a trainable exponent.

    `f_c = (mean over positions of max(x_c, epsilon) ** p) ** (1 / p)`

    `p = 1` is the mean (SPoC), `p -> infinity` the maximum (MAC). The result
    is not L2-normalized.

    The exponent is the variable named `"p"`. It has no constraint: the mean is
    defined for every exponent but 0, and published training moves it from 3 to
    between 2.8 and 2.95. A learning rate that could carry it to 0 is too high.

    Args:
        p: initial exponent, above 0.
        per_channel: whether each channel learns its own exponent.
        epsilon: least activation, above 0; keeps the gradient finite where a
            channel is zero everywhere.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Input shape:
        `(batch, height, width, channels)`, non-negative features.

    Output shape:
        `(batch, channels)`.

    Example:

    >>> features = keras.ops.reshape([0.0, 1.0, 2.0, 3.0], (1, 2, 2, 1))
    >>> GeM(p=3.0)(features)  # [[2.0800838]]

    Reference:
        [Radenovic et al., 2018](https://arxiv.org/abs/1711.02512)
    """

    def __init__(self, p=3.0, per_channel=False, epsilon=1e-6, **kwargs):
        super().__init__(**kwargs)
        if p <= 0:
            raise ValueError(f"`p` must be above 0. Received: p={p}")
        if epsilon <= 0:
            raise ValueError(
                f"`epsilon` must be above 0. Received: epsilon={epsilon}"
            )
        self.p = p
        self.per_channel = per_channel
        self.epsilon = epsilon

    def build(self, input_shape):
        # Without autocast: 2.864 would be 2.859 in bfloat16.
        self.exponent = self.add_weight(
            name="p",
            shape=(input_shape[-1],) if self.per_channel else (),
            initializer=keras.initializers.Constant(self.p),
            autocast=False,
        )

    def call(self, inputs, valid=None):
        return gem(inputs, self.exponent, self.epsilon, valid)

    def get_config(self):
        return super().get_config() | {
            "p": self.p,
            "per_channel": self.per_channel,
            "epsilon": self.epsilon,
        }

"""Unit-length descriptors as a layer."""

import keras

from agem_tf.ops.normalization import l2_normalize


@keras.saving.register_keras_serializable(package="agem_tf")
class L2Normalization(keras.layers.Layer):
    """Scales descriptors to unit length.

    `y = x / (||x||_2 + epsilon)`, over the last axis

    A zero descriptor stays zero, with a finite gradient.

    Args:
        epsilon: added to the norm, above 0.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Input shape:
        `(..., dimension)`.

    Output shape:
        The same.

    Example:

    >>> L2Normalization()([[3.0, 4.0]])  # [[0.6, 0.8]]

    Reference:
        [Radenovic et al., 2018](https://arxiv.org/abs/1711.02512)
    """

    def __init__(self, epsilon=1e-6, **kwargs):
        super().__init__(**kwargs)
        if epsilon <= 0:
            raise ValueError(
                f"`epsilon` must be above 0. Received: epsilon={epsilon}"
            )
        self.epsilon = epsilon

    def call(self, inputs):
        return l2_normalize(inputs, axis=-1, epsilon=self.epsilon)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return super().get_config() | {"epsilon": self.epsilon}

"""What the attention units of the AGeM paper share."""

import keras


class AttentionUnit(keras.layers.Layer):
    """Base of the layers that score every place of every channel.

    Calling a unit returns the scores, in (0, 1). They multiply another map
    than the unit's input, so the multiplication is up to the network.

    The last convolution's kernel starts at zero and its bias at
    `initial_bias`: the first scores are `sigmoid(initial_bias)` everywhere.
    The default, 4, gives 0.982, so that training starts from the pretrained
    network; 0 would halve features, which that network has never seen. The
    first step moves this convolution only, later ones the whole unit.

    Args:
        initial_bias: initial bias of the last convolution.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Reference:
        [Gu et al., 2018](https://arxiv.org/abs/1811.00202)
    """

    def __init__(self, initial_bias=4.0, **kwargs):
        super().__init__(**kwargs)
        self.initial_bias = initial_bias
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def attention(self, inputs):
        """Returns the scores of an inference call."""
        return self(inputs, training=False)

    def _score_convolution(self, filters):
        return keras.layers.Conv2D(
            filters,
            1,
            activation="sigmoid",
            data_format="channels_last",
            kernel_initializer="zeros",
            bias_initializer=keras.initializers.Constant(self.initial_bias),
            name="scores",
            dtype=self.dtype_policy,
        )

    def get_config(self):
        return super().get_config() | {"initial_bias": self.initial_bias}

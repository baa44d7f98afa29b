"""The AGeM paper's attention units Att2_1 and Att2_2."""

import keras

from agem_tf.layers.attention_unit import AttentionUnit


@keras.saving.register_keras_serializable(package="agem_tf")
class PointwiseAttention(AttentionUnit):
    """Scores every place of every channel by one 1x1 convolution.

    `A = sigmoid(W x + b)`

    Args:
        initial_bias: initial bias b; W starts at zero, see `AttentionUnit`.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Input shape:
        `(batch, height, width, channels)`.

    Output shape:
        The same.

    Example:

    >>> features = keras.random.uniform((2, 7, 9, 64))
    >>> scores = PointwiseAttention()(features)  # 0.982 everywhere
    >>> attended = features + scores * features

    Reference:
        [Gu et al., 2018](https://arxiv.org/abs/1811.00202)
    """

    def build(self, input_shape):
        self.scores = self._score_convolution(input_shape[-1])
        self.scores.build(input_shape)

    def call(self, inputs):
        return self.scores(inputs)

    def compute_output_shape(self, input_shape):
        return input_shape

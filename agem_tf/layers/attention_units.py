"""The attention units of the AGeM paper.

`DownsamplingAttention` is its Att1, `PointwiseAttention` its Att2_1 and Att2_2.
Where they enter a network is up to `agem_tf.backbones.options`.

Reference: https://arxiv.org/abs/1811.00202
"""

import keras

from agem_tf.layers.batch_normalization import (
    batch_normalization,
    check_batch_norm,
)
from agem_tf.ops.canvas_masks import zero_padding


class AttentionUnit(keras.layers.Layer):
    """Base class of the layers that score every position of every channel.

    A unit returns scores in (0, 1). They multiply another map than the unit's
    input, so the network does the multiplication.

    The kernel of the last convolution starts at zero and its bias at
    `initial_bias`: the initial scores are `sigmoid(initial_bias)` everywhere.
    The default, 4, gives 0.982, so that training starts close to the
    pretrained network; 0 would halve its features. The first step of training
    moves this convolution only, later steps the whole unit.

    Args:
        initial_bias: Initial bias of the last convolution.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Reference:
        [Gu et al., 2018](https://arxiv.org/abs/1811.00202)
    """

    def __init__(self, initial_bias=4.0, **kwargs):
        super().__init__(**kwargs)
        self.initial_bias = initial_bias
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def attention(self, inputs):
        """Returns the scores at inference."""
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


@keras.saving.register_keras_serializable(package="agem_tf")
class DownsamplingAttention(AttentionUnit):
    """Scores of a stage's output, from its input of twice the size.

    `A = sigmoid(conv1(f(conv1(f(conv3(f(conv3(x)))))))), f = ReLU(BN(.))`

    The kernels are 3x3 with stride 2, 3x3, 1x1 and 1x1; their filters are
    `filters // 2`, `filters // 4`, `filters // 4` and `filters` (1024, 512, 512
    and 2048 in the paper). The first pads one position on every side, as the
    ResNet does, which keeps the scores aligned with its map.

    Args:
        filters: Channels of the map that the scores multiply; a multiple of 4.
        initial_bias: Initial bias of the last convolution, see `AttentionUnit`.
        batch_norm: `"trainable"`, or `"frozen_statistics"` to train gamma and
            beta only.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Input shape:
        `(batch, height, width, channels)`.

    Output shape:
        `(batch, ceil(height / 2), ceil(width / 2), filters)`.

    Example:

    >>> features = keras.random.uniform((2, 7, 9, 32))
    >>> DownsamplingAttention(64)(features).shape  # (2, 4, 5, 64)

    Reference:
        [Gu et al., 2018](https://arxiv.org/abs/1811.00202)
    """

    def __init__(
        self, filters, initial_bias=4.0, batch_norm="trainable", **kwargs
    ):
        super().__init__(initial_bias, **kwargs)
        if filters < 4 or filters % 4:
            raise ValueError(
                "`filters` must be a positive multiple of 4. "
                f"Received: filters={filters}"
            )
        check_batch_norm(batch_norm)
        self.filters = filters
        self.batch_norm = batch_norm

    def build(self, input_shape):
        half, quarter = self.filters // 2, self.filters // 4
        self.steps = [
            keras.layers.ZeroPadding2D(
                1, data_format="channels_last", dtype=self.dtype_policy
            ),
            *self._block("first", half, 3, strides=2, padding="valid"),
            *self._block("second", quarter, 3, padding="same"),
            *self._block("third", quarter, 1),
            self._score_convolution(self.filters),
        ]
        for step in self.steps:
            step.build(input_shape)
            input_shape = step.compute_output_shape(input_shape)

    def _block(self, name, filters, kernel_size, **options):
        yield keras.layers.Conv2D(
            filters,
            kernel_size,
            data_format="channels_last",
            use_bias=False,
            kernel_initializer="he_normal",
            name=f"{name}_convolution",
            dtype=self.dtype_policy,
            **options,
        )
        yield batch_normalization(
            self.batch_norm,
            name=f"{name}_normalization",
            dtype=self.dtype_policy,
        )
        yield keras.layers.ReLU(dtype=self.dtype_policy)

    def call(self, inputs, training=None, valid=None):
        x = zero_padding(inputs, valid)
        for step in self.steps:
            if step.name == "second_convolution" and valid is not None:
                # Positions at which the first convolution is centred.
                x = zero_padding(x, valid[:, ::2, ::2])
            is_norm = isinstance(step, keras.layers.BatchNormalization)
            x = step(x, training=training) if is_norm else step(x)
        return x

    def compute_output_shape(self, input_shape):
        batch, *sides, _ = input_shape
        halves = [side if side is None else (side + 1) // 2 for side in sides]
        return (batch, *halves, self.filters)

    def get_config(self):
        return super().get_config() | {
            "filters": self.filters,
            "batch_norm": self.batch_norm,
        }


@keras.saving.register_keras_serializable(package="agem_tf")
class PointwiseAttention(AttentionUnit):
    """Scores of every position of every channel by one 1x1 convolution.

    `A = sigmoid(W x + b)`

    Args:
        initial_bias: Initial bias b; W starts at zero, see `AttentionUnit`.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Input shape:
        `(batch, height, width, channels)`.

    Output shape:
        Same shape as the input.

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

"""The AGeM paper's attention unit Att1."""

import keras

from agem_tf.layers.attention_unit import AttentionUnit
from agem_tf.layers.batch_normalization import (
    batch_normalization,
    check_batch_norm,
)
from agem_tf.ops.padding import zero_padding


@keras.saving.register_keras_serializable(package="agem_tf")
class DownsamplingAttention(AttentionUnit):
    """Scores the output of a stage from that stage's input, at half its size.

    `A = sigmoid(conv1(f(conv1(f(conv3(f(conv3(x)))))))), f = ReLU(BN(.))`

    The kernels are 3x3 with stride 2, 3x3, 1x1 and 1x1; their filters are
    `filters // 2`, `filters // 4`, `filters // 4` and `filters` (1024, 512, 512
    and 2048 in the paper). The first pads one position on every side, which
    keeps the scores aligned with those of a ResNet that does the same.

    Args:
        filters: channels of the map that the scores multiply; a multiple of 4.
        initial_bias: initial bias of the last convolution, see `AttentionUnit`.
        batch_norm: `"trainable"`, or `"frozen_statistics"`, under which only
            gamma and beta are trained.
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
                # The position that the first convolution is centred at.
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

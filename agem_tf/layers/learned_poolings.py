"""Global poolings that learn which positions or regions count.

Each starts as a pooling without weights and learns them with the network.
"""

import keras
from keras import ops

from agem_tf.layers.global_poolings import GeM, GlobalPooling
from agem_tf.ops.argument_checks import check_at_least, check_between
from agem_tf.ops.normalization import l2_normalize
from agem_tf.ops.pooling import gem, pyramid_maxima, regional_attention
from agem_tf.ops.precision import widen
from agem_tf.ops.regions import MAX_LEVELS

# softplus of it is 1.
_UNIT_SOFTPLUS = 0.541324854612918


@keras.saving.register_keras_serializable(package="agem_tf")
class WeightedGeM(GeM):
    """Generalized mean of a feature map, with learned weights of positions.

    `w = sigmoid(<x, kernel> + bias)`

    `f_c = (sum over positions of w max(x_c, epsilon) ** p / sum of w) **
    (1 / p)`

    The kernel starts at zero, so that training starts from GeM. Interpretation:
    one weight per position, from all channels by one linear layer; the paper
    learns weights on activations as latent probabilities.

    Args:
        p: Initial exponent, above 0.
        per_channel: Whether each channel learns its own exponent.
        epsilon: Least activation, above 0.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Input shape:
        `(batch, height, width, channels)`, non-negative features.

    Output shape:
        `(batch, channels)`.

    Example:

    >>> WeightedGeM()(keras.random.uniform((2, 7, 9, 16))).shape  # (2, 16)

    Reference:
        [Wu et al., 2018](https://sigport.org/documents/weighted-generalized-mean-pooling-deep-image-retrieval)
    """

    def build(self, input_shape):
        super().build(input_shape)
        self.kernel = self.add_weight(
            name="kernel",
            shape=(input_shape[-1], 1),
            initializer="zeros",
            autocast=False,
        )
        self.bias = self.add_weight(
            name="bias", shape=(1,), initializer="zeros", autocast=False
        )

    def call(self, inputs, valid=None):
        scores = ops.matmul(widen(inputs), self.kernel) + self.bias
        # Above 0, as some position must count.
        weights = ops.maximum(ops.sigmoid(scores), 1e-6)
        return gem(inputs, self.exponent, self.epsilon, valid, weights)


@keras.saving.register_keras_serializable(package="agem_tf")
class RegionalAttention(GlobalPooling):
    """R-MAC whose regions have learned weights.

    `f = sum over regions R of A(R) L2N(MAC(x[R]))`

    `A(R) = softplus(W2 softplus(W1 [mean(x[R]), mean(x)] + b1) + b2)`

    The whole map is one of the regions, and its mean is the context of all.
    `W2` starts at zero and `b2` where the weights are 1, so that training
    starts from R-MAC (interpretation, as is the mean in place of the maximum
    in `A`). The sum is not normalized.

    Args:
        levels: Number of scales of regions, from 1 to 32.
        filters: Size of the hidden layer, at least 1.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Input shape:
        `(batch, height, width, channels)`; height and width may be unknown.

    Output shape:
        `(batch, channels)`.

    Example:

    >>> features = keras.random.uniform((2, 7, 9, 16))
    >>> RegionalAttention()(features).shape  # (2, 16)

    Reference:
        [Kim and Yoon, 2018](https://github.com/jaeyoon1603/Retrieval-RegionalAttention)
    """

    def __init__(self, levels=3, filters=64, **kwargs):
        super().__init__(**kwargs)
        check_between(1, MAX_LEVELS, levels=levels)
        check_at_least(1, filters=filters)
        self.levels = levels
        self.filters = filters

    def build(self, input_shape):
        def dense(units, activation, name, **options):
            return keras.layers.Dense(
                units, activation, name=name, dtype="float32", **options
            )

        self.hidden = dense(self.filters, "softplus", "hidden")
        self.weight = dense(
            1,
            "softplus",
            "weight",
            kernel_initializer="zeros",
            bias_initializer=keras.initializers.Constant(_UNIT_SOFTPLUS),
        )
        self.hidden.build((None, None, 2 * input_shape[-1]))
        self.weight.build((None, None, self.filters))

    def call(self, inputs):
        return regional_attention(
            inputs, lambda x: self.weight(self.hidden(x)), self.levels
        )

    def get_config(self):
        return super().get_config() | {
            "levels": self.levels,
            "filters": self.filters,
        }


@keras.saving.register_keras_serializable(package="agem_tf")
class PyramidAttention(GlobalPooling):
    """Attention-based pyramid aggregation (APANet).

    With the L2-normalized maxima `r_i` of the cells of a spatial pyramid and a
    learned query `q`:

    `a_i = softmax over cells of <q, r_i>`

    `f = sum over cells of a_i r_i`

    The cascaded attention does it twice: the query of the second time is
    `tanh(W f + b)`, with the `f` of the first. Query, `W` and `b` start at
    zero, where all cells count alike (interpretation, as are the sizes of the
    grids; the paper's power whitening is `agem_tf.whiten`'s). The sum is not
    normalized.

    Args:
        sizes: Cells per side of each grid, up to 32 grids of 1 to 32.
        cascaded: Whether attention is cascaded.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Input shape:
        `(batch, height, width, channels)`; height and width may be unknown.

    Output shape:
        `(batch, channels)`.

    Example:

    >>> features = keras.random.uniform((2, 7, 9, 16))
    >>> PyramidAttention()(features).shape  # (2, 16)

    Reference:
        [Zhu et al., 2018](https://arxiv.org/abs/1808.00288)
    """

    def __init__(self, sizes=(1, 2, 3), cascaded=True, **kwargs):
        super().__init__(**kwargs)
        if not all(1 <= n <= MAX_LEVELS for n in (len(sizes), *sizes)):
            raise ValueError(
                f"`sizes` must hold 1 to {MAX_LEVELS} integers from 1 to "
                f"{MAX_LEVELS}. Received: sizes={sizes}"
            )
        self.sizes = sizes
        self.cascaded = cascaded

    def build(self, input_shape):
        channels = input_shape[-1]

        def zeros(name, *shape):
            return self.add_weight(
                name=name, shape=shape, initializer="zeros", autocast=False
            )

        self.query = zeros("query", channels)
        if self.cascaded:
            self.kernel = zeros("kernel", channels, channels)
            self.bias = zeros("bias", channels)

    def call(self, inputs, valid=None):
        maxima = pyramid_maxima(widen(inputs), self.sizes, valid)
        cells = l2_normalize(maxima)
        attended = _attend(cells, self.query)
        if self.cascaded:
            query = ops.tanh(ops.matmul(attended, self.kernel) + self.bias)
            attended = _attend(cells, query[:, None])
        return ops.cast(attended, self.compute_dtype)

    def get_config(self):
        return super().get_config() | {
            "sizes": list(self.sizes),
            "cascaded": self.cascaded,
        }


def _attend(cells, query):
    """Returns the (batch, channels) mean of cells by attention to a query."""
    weights = ops.softmax(ops.sum(cells * query, axis=-1), axis=-1)
    return ops.sum(weights[..., None] * cells, axis=1)

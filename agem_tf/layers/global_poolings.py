"""Global poolings: one descriptor per feature map.

All have one signature, so that recipes can swap them by name.
"""

import keras

from agem_tf.ops.argument_checks import check_above_zero, check_between
from agem_tf.ops.pooling import crow, gem, mac, rmac, scda, spoc
from agem_tf.ops.regions import MAX_LEVELS


class GlobalPooling(keras.layers.Layer):
    """Base class of the layers that pool a feature map to one descriptor.

    A subclass implements `call`, and overrides `compute_output_shape` if the
    dimension of the descriptor is not the number of channels. If it can ignore
    padding, its `call` takes `valid`, (batch, height, width) booleans that are
    false where the map is padding.

    Args:
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Input shape:
        `(batch, height, width, channels)`; height and width may be unknown.

    Output shape:
        `(batch, channels)`, in the layer's compute dtype.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[-1])


@keras.saving.register_keras_serializable(package="agem_tf")
class GeM(GlobalPooling):
    """Generalized mean of a feature map, with a trainable exponent.

    `f_c = (mean over positions of max(x_c, epsilon) ** p) ** (1 / p)`

    `p = 1` is the mean (SPoC), `p -> infinity` the maximum (MAC). The result
    is not L2-normalized.

    The exponent is the variable named `"p"`. It has no constraint: the mean is
    defined for every exponent but 0, and published training moves it from 3 to
    between 2.8 and 2.95. A learning rate that can move it to 0 is too high.

    Args:
        p: Initial exponent, above 0.
        per_channel: Whether each channel learns its own exponent.
        epsilon: Least activation, above 0; keeps the gradient finite where a
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
        check_above_zero(p=p, epsilon=epsilon)
        self.p = p
        self.per_channel = per_channel
        self.epsilon = epsilon

    def build(self, input_shape):
        # No autocast: in bfloat16, 2.864 would become 2.859.
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


@keras.saving.register_keras_serializable(package="agem_tf")
class MAC(GlobalPooling):
    """Maximum activation of each channel.

    `f_c = max over positions of x_c`

    Input shape:
        `(batch, height, width, channels)`.

    Output shape:
        `(batch, channels)`.

    Example:

    >>> MAC()(keras.random.uniform((2, 7, 9, 16))).shape  # (2, 16)

    Reference:
        [Tolias et al., 2016](https://arxiv.org/abs/1511.05879)
    """

    def call(self, inputs, valid=None):
        return mac(inputs, valid)


@keras.saving.register_keras_serializable(package="agem_tf")
class SPoC(GlobalPooling):
    """Mean activation of each channel, without the centre prior of the paper.

    `f_c = mean over positions of x_c`

    The paper sums; after L2 normalization the mean is the same descriptor.

    Input shape:
        `(batch, height, width, channels)`.

    Output shape:
        `(batch, channels)`.

    Example:

    >>> SPoC()(keras.random.uniform((2, 7, 9, 16))).shape  # (2, 16)

    Reference:
        [Babenko and Lempitsky, 2015](https://arxiv.org/abs/1510.07493)
    """

    def call(self, inputs, valid=None):
        return spoc(inputs, valid)


@keras.saving.register_keras_serializable(package="agem_tf")
class CroW(GlobalPooling):
    """Sum of features, weighted by position and by channel.

    With `S = sum over channels of x` and `Q_c` the share of positions where
    channel c is above 0 (cross-dimensional weighting):

    `f_c = log((sum of Q + epsilon) / (Q_c + epsilon)) * sum over positions of
    x_c * (S / ||S||_2) ** (1 / 2)`

    which is the paper's choice a = b = 2. Gradients flow through the spatial
    weights; the channel weights are piecewise constant.

    Args:
        epsilon: Keeps the logarithm finite for channels that are never active,
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
        check_above_zero(epsilon=epsilon)
        self.epsilon = epsilon

    def call(self, inputs, valid=None):
        return crow(inputs, self.epsilon, valid)

    def get_config(self):
        return super().get_config() | {"epsilon": self.epsilon}


@keras.saving.register_keras_serializable(package="agem_tf")
class SCDA(GlobalPooling):
    """Mean and maximum of features in the largest region of high activation.

    With `A = sum over channels of x`, M is the largest connected component of
    the positions where `A > mean(A)`:

    `f = [mean over M of x, max over M of x]`

    For a constant map, where no position exceeds the mean, M is the whole map.
    No gradient flows through the choice of M.

    Args:
        connectivity: 8 if positions that touch at a corner are connected, 4 if
            they are not.
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


@keras.saving.register_keras_serializable(package="agem_tf")
class RMAC(GlobalPooling):
    """Sum of the L2-normalized maxima of regions.

    `f = L2N(MAC(x)) + sum over regions R of L2N(MAC(x[R]))`

    The regions are overlapping squares at several scales, see
    `agem_tf.ops.rmac_regions`. The sum is not normalized again.

    Args:
        levels: Number of scales, from 1 to 32.
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
        check_between(1, MAX_LEVELS, levels=levels)
        self.levels = levels

    def call(self, inputs):
        return rmac(inputs, self.levels)

    def get_config(self):
        return super().get_config() | {"levels": self.levels}

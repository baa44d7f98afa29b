"""L2 normalization and whitening of descriptors, as layers."""

import keras
import numpy as np
from keras import ops

from agem_tf.ops.argument_checks import check_above_zero, check_at_least
from agem_tf.ops.normalization import l2_normalize
from agem_tf.ops.precision import widen


@keras.saving.register_keras_serializable(package="agem_tf")
class L2Normalization(keras.layers.Layer):
    """Scales descriptors to unit length.

    `y = x / (||x||_2 + epsilon)`, over the last axis

    A zero descriptor stays zero, with a finite gradient.

    Args:
        epsilon: Added to the norm, above 0.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Input shape:
        `(..., dimension)`.

    Output shape:
        Same shape as the input.

    Example:

    >>> L2Normalization()([[3.0, 4.0]])  # [[0.6, 0.8]]

    Reference:
        [Radenovic et al., 2018](https://arxiv.org/abs/1711.02512)
    """

    def __init__(self, epsilon=1e-6, **kwargs):
        super().__init__(**kwargs)
        check_above_zero(epsilon=epsilon)
        self.epsilon = epsilon

    def call(self, inputs):
        return l2_normalize(inputs, axis=-1, epsilon=self.epsilon)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return super().get_config() | {"epsilon": self.epsilon}


@keras.saving.register_keras_serializable(package="agem_tf")
class Whitening(keras.layers.Layer):
    """Linear projection of descriptors, with a bias.

    `y = x K + b`, which is `P (x - m)` for `K = P^T` and `b = -P m`

    It computes in float32 under every dtype policy, because the rows of a
    whitening projection differ in scale by orders of magnitude. The result is
    not L2-normalized; an `L2Normalization` follows.

    A whitening that has been learned already, with mean m and projection P,
    becomes a layer by `from_projection`, or sets an existing layer by
    `set_from`. Either way the matrix is a variable of the layer, so a
    SavedModel stores it once, among its variables.

    Args:
        dimension: Dimension of the whitened descriptors, at least 1.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Input shape:
        `(batch, input dimension)`.

    Output shape:
        `(batch, dimension)`.

    Example:

    >>> layer = Whitening.from_projection([1.0, 2.0, 3.0], np.eye(3)[:2])
    >>> layer([[2.0, 4.0, 9.0]])  # [[1.0, 2.0]]

    Reference:
        [Radenovic et al., 2018](https://arxiv.org/abs/1711.02512)
    """

    def __init__(self, dimension, **kwargs):
        super().__init__(**kwargs)
        check_at_least(1, dimension=dimension)
        self.dimension = dimension
        self.input_spec = keras.layers.InputSpec(ndim=2)

    def build(self, input_shape):
        self.kernel = self.add_weight(
            name="kernel",
            shape=(input_shape[-1], self.dimension),
            initializer="glorot_uniform",
            autocast=False,
        )
        self.bias = self.add_weight(
            name="bias",
            shape=(self.dimension,),
            initializer="zeros",
            autocast=False,
        )

    @classmethod
    def from_projection(cls, mean, projection, **kwargs):
        """Creates a built layer that computes `projection (x - mean)`.

        Args:
            mean: Array of shape (input dimension,).
            projection: Array of shape (dimension, input dimension).
            **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

        Raises:
            ValueError: The shapes do not fit each other.
        """
        layer = cls(len(projection), **kwargs)
        layer.set_from(mean, projection)
        return layer

    def set_from(self, mean, projection):
        """Sets the weights so that the layer computes `projection (x - mean)`.

        Builds the layer if it is not built yet.

        Args:
            mean: Array of shape (input dimension,).
            projection: Array of shape (at least `dimension`, input dimension)
                with one direction per row, of which the first `dimension` are
                used.

        Raises:
            ValueError: The shapes do not fit each other or the layer.
        """
        mean = np.asarray(mean, "float64")
        projection = np.asarray(projection, "float64")[: self.dimension]
        if projection.shape != (self.dimension, *mean.shape):
            raise ValueError(
                "`projection` must have a row for each of the layer's "
                f"{self.dimension} dimensions and a column for each entry of "
                f"`mean`. Received: projection.shape={projection.shape}, "
                f"mean.shape={mean.shape}"
            )
        if not self.built:
            self.build((None, *mean.shape))
        self.kernel.assign(projection.T)
        self.bias.assign(-projection @ mean)

    def call(self, inputs):
        descriptors = ops.matmul(widen(inputs), self.kernel) + self.bias
        return ops.cast(descriptors, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.dimension)

    def get_config(self):
        return super().get_config() | {"dimension": self.dimension}

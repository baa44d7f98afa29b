"""DELF's attention: a score per position, and what trains it.

References: https://arxiv.org/abs/1612.06321 (DELF),
https://arxiv.org/abs/2001.05027 (DELG)
"""

import keras
from keras import ops

from agem_tf.layers.batch_normalization import (
    batch_normalization,
    check_batch_norm,
)
from agem_tf.layers.global_poolings import GlobalPooling
from agem_tf.ops.argument_checks import check_at_least
from agem_tf.ops.pooling import attentive
from agem_tf.ops.precision import widen


@keras.saving.register_keras_serializable(package="agem_tf")
class LocalAttention(keras.layers.Layer):
    """Score of each position: how useful its feature is for retrieval.

    `A = softplus(conv1(ReLU(BN(conv1(x)))))`

    Both kernels are 1x1. The first has `filters` outputs and no bias, the
    second has one output. The paper's weight decay of 1e-4 is a rule of the
    optimizer, as for every layer of this package.

    Args:
        filters: Channels between the two convolutions, at least 1.
        batch_norm: `"trainable"`, or `"frozen_statistics"` to train gamma and
            beta only.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Input shape:
        `(batch, height, width, channels)`.

    Output shape:
        `(batch, height, width, 1)`, above 0.

    Example:

    >>> features = keras.random.uniform((2, 7, 9, 32))
    >>> LocalAttention()(features).shape  # (2, 7, 9, 1)

    Reference:
        [Noh et al., 2017](https://arxiv.org/abs/1612.06321)
    """

    def __init__(self, filters=512, batch_norm="trainable", **kwargs):
        super().__init__(**kwargs)
        check_at_least(1, filters=filters)
        check_batch_norm(batch_norm)
        self.filters = filters
        self.batch_norm = batch_norm
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def build(self, input_shape):
        self.hidden = keras.layers.Conv2D(
            self.filters,
            1,
            use_bias=False,
            data_format="channels_last",
            kernel_initializer="he_normal",
            name="hidden",
            dtype=self.dtype_policy,
        )
        self.normalization = batch_normalization(
            self.batch_norm, name="normalization", dtype=self.dtype_policy
        )
        self.scores = keras.layers.Conv2D(
            1,
            1,
            activation="softplus",
            data_format="channels_last",
            name="scores",
            dtype=self.dtype_policy,
        )
        hidden_shape = (*input_shape[:-1], self.filters)
        self.hidden.build(input_shape)
        self.normalization.build(hidden_shape)
        self.scores.build(hidden_shape)

    def call(self, inputs, training=None):
        x = self.normalization(self.hidden(inputs), training=training)
        return self.scores(ops.relu(x))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 1)

    def get_config(self):
        return super().get_config() | {
            "filters": self.filters,
            "batch_norm": self.batch_norm,
        }


@keras.saving.register_keras_serializable(package="agem_tf")
class AttentivePooling(GlobalPooling):
    """Mean of the L2-normalized features, weighted by their attention scores.

    `f = mean over positions of A(x) * x / ||x||`, with `A` a `LocalAttention`

    A classifier on `f` learns the scores from the labels of whole photos. The
    result is not L2-normalized.

    Args:
        filters: Channels within the attention, at least 1.
        batch_norm: `"trainable"`, or `"frozen_statistics"` to train gamma and
            beta only.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Input shape:
        `(batch, height, width, channels)`.

    Output shape:
        `(batch, channels)`.

    Example:

    >>> features = keras.random.uniform((2, 7, 9, 32))
    >>> AttentivePooling()(features).shape  # (2, 32)

    Reference:
        [Noh et al., 2017](https://arxiv.org/abs/1612.06321)
    """

    def __init__(self, filters=512, batch_norm="trainable", **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.batch_norm = batch_norm
        self.attention = LocalAttention(
            filters, batch_norm, name="attention", dtype=self.dtype_policy
        )

    def build(self, input_shape):
        self.attention.build(input_shape)

    def call(self, inputs, training=None, valid=None):
        scores = self.attention(inputs, training=training)
        return attentive(inputs, scores, valid)

    def get_config(self):
        return super().get_config() | {
            "filters": self.filters,
            "batch_norm": self.batch_norm,
        }


@keras.saving.register_keras_serializable(package="agem_tf")
class LocalBranch(keras.layers.Layer):
    """DELG's local branch: attention, and an autoencoder of the features.

    With the features `x` of a map, from which no gradient passes to the
    backbone, and the attention `A` of `LocalAttention`:

    - code `c = conv1(x)`, the local feature;
    - reconstruction `x' = ReLU(conv1(c))`;
    - `attended = mean over positions of A(x) * x' / ||x'||`, from which a
      classifier learns `A`. The paper states the sum; the norm and the mean are
      those of DELF's pooling (interpretation);
    - `reconstruction_error = mean over positions and channels of (x' - x)^2`.

    Args:
        dimension: Dimension of a code, at least 1.
        filters: Channels within the attention, at least 1.
        batch_norm: `"trainable"`, or `"frozen_statistics"` to train gamma and
            beta of the attention only.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Call arguments:
        descriptors: `(batch, any)`, returned as they are.
        features: `(batch, height, width, channels)`.

    Output shape:
        A dictionary of `descriptors`, `features` `(batch, height, width,
        dimension)`, the codes, `scores` `(batch, height, width)`, `attended`
        `(batch, channels)` and `reconstruction_error` `(batch,)`.

    Example:

    >>> outputs = LocalBranch(128)(descriptors, features)
    >>> outputs["features"].shape  # (2, 14, 14, 128)

    Reference:
        [Cao et al., 2020](https://arxiv.org/abs/2001.05027)
    """

    # In the order in which Keras flattens a dictionary.
    OUTPUTS = (
        "attended",
        "descriptors",
        "features",
        "reconstruction_error",
        "scores",
    )

    def __init__(
        self, dimension=128, filters=512, batch_norm="trainable", **kwargs
    ):
        super().__init__(**kwargs)
        check_at_least(1, dimension=dimension, filters=filters)
        check_batch_norm(batch_norm)
        self.dimension = dimension
        self.filters = filters
        self.batch_norm = batch_norm

    def build(self, descriptors_shape, features_shape):
        self.attention = LocalAttention(
            self.filters,
            self.batch_norm,
            name="attention",
            dtype=self.dtype_policy,
        )
        self.encoder = keras.layers.Conv2D(
            self.dimension,
            1,
            data_format="channels_last",
            name="encoder",
            dtype=self.dtype_policy,
        )
        self.decoder = keras.layers.Conv2D(
            features_shape[-1],
            1,
            activation="relu",
            data_format="channels_last",
            name="decoder",
            dtype=self.dtype_policy,
        )
        self.attention.build(features_shape)
        self.encoder.build(features_shape)
        self.decoder.build((*features_shape[:-1], self.dimension))

    def call(self, descriptors, features, training=None):
        features = ops.stop_gradient(features)
        scores = self.attention(features, training=training)
        codes = self.encoder(features)
        decoded = self.decoder(codes)
        error = ops.square(widen(decoded) - widen(features))
        return {
            "descriptors": descriptors,
            "features": codes,
            "scores": ops.squeeze(scores, -1),
            "attended": attentive(decoded, scores),
            "reconstruction_error": ops.mean(error, axis=(1, 2, 3)),
        }

    def compute_output_spec(self, descriptors, features, training=None):
        batch, *sides, channels = features.shape
        shapes = {
            "features": (batch, *sides, self.dimension),
            "scores": (batch, *sides),
            "attended": (batch, channels),
        }
        dtype = self.compute_dtype
        return {
            "descriptors": keras.KerasTensor(
                descriptors.shape, descriptors.dtype
            ),
            "reconstruction_error": keras.KerasTensor((batch,), "float32"),
        } | {
            name: keras.KerasTensor(shape, dtype)
            for name, shape in shapes.items()
        }

    def get_config(self):
        return super().get_config() | {
            "dimension": self.dimension,
            "filters": self.filters,
            "batch_norm": self.batch_norm,
        }

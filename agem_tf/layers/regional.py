"""Any pooling, applied to the regions of R-MAC and summed."""

import keras
from keras import ops

from agem_tf.layers.global_poolings import GlobalPooling
from agem_tf.ops.argument_checks import check_between
from agem_tf.ops.normalization import l2_normalize
from agem_tf.ops.precision import widen
from agem_tf.ops.regions import MAX_LEVELS, sum_over_regions


@keras.saving.register_keras_serializable(package="agem_tf")
class Regional(GlobalPooling):
    """Sum of the descriptors of the whole map and of its R-MAC regions.

    `f = L2N(sum over regions R of L2N(whitening(L2N(pooling(x[R])))))`

    The whole map is the first region; without `whitening` each term is
    `L2N(pooling(x[R]))`. All regions share the weights of `pooling`.

    Args:
        pooling: Layer from `(batch, height, width, channels)` to
            `(batch, dimension)`.
        levels: Number of scales, from 1 to 32, as in `RMAC`.
        whitening: Layer from `(batch, dimension)` to `(batch, new dimension)`,
            like `Whitening`, or None.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Input shape:
        `(batch, height, width, channels)`; height and width may be unknown.

    Output shape:
        `(batch, dimension)` of the whitening, or else of the pooling, with
        unit norm.

    Example:

    >>> layer = Regional(GeM(), whitening=Whitening(8))
    >>> layer(keras.random.uniform((2, 7, 9, 16))).shape  # (2, 8)

    Reference:
        [Gordo et al., 2017](https://arxiv.org/abs/1610.07940)
    """

    def __init__(self, pooling, levels=3, whitening=None, **kwargs):
        super().__init__(**kwargs)
        _check_layer("pooling", pooling)
        if whitening is not None:
            _check_layer("whitening", whitening)
        check_between(1, MAX_LEVELS, levels=levels)
        self.pooling = pooling
        self.levels = levels
        self.whitening = whitening

    def build(self, input_shape):
        crops_shape = (None, None, None, input_shape[-1])
        if not self.pooling.built:
            self.pooling.build(crops_shape)
        if self.whitening is not None and not self.whitening.built:
            pooled_shape = self.pooling.compute_output_shape(crops_shape)
            self.whitening.build(pooled_shape)

    def call(self, inputs):
        total = sum_over_regions(inputs, self._describe, self.levels)
        return ops.cast(l2_normalize(total), self.compute_dtype)

    def _describe(self, crops):
        descriptors = l2_normalize(widen(self.pooling(crops)))
        if self.whitening is None:
            return descriptors
        return l2_normalize(widen(self.whitening(descriptors)))

    def compute_output_shape(self, input_shape):
        pooled_shape = self.pooling.compute_output_shape(input_shape)
        if self.whitening is None:
            return pooled_shape
        return self.whitening.compute_output_shape(pooled_shape)

    def get_config(self):
        return super().get_config() | {
            "pooling": _serialize(self.pooling),
            "levels": self.levels,
            "whitening": _serialize(self.whitening),
        }

    @classmethod
    def from_config(cls, config):
        deserialize = keras.saving.deserialize_keras_object
        layers = {
            name: deserialize(config[name]) for name in ("pooling", "whitening")
        }
        return super().from_config(config | layers)


def _check_layer(name, value):
    if not isinstance(value, keras.layers.Layer):
        raise ValueError(
            f"`{name}` must be a Keras layer. Received: {name}={value!r}"
        )


def _serialize(layer):
    """Serializes a layer, or None, equally before and after it is built."""
    config = keras.saving.serialize_keras_object(layer)
    if layer is not None:
        config.pop("build_config", None)
    return config

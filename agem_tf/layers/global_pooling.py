"""The signature that all poolings share, so that names can be swapped."""

import keras


class GlobalPooling(keras.layers.Layer):
    """Base of the layers that turn a feature map into one descriptor.

    A subclass implements `call`. It overrides `compute_output_shape` where the
    descriptor has another dimension than the map has channels. Where padding
    can be told apart, `call` takes a `valid`, (batch, height, width) booleans
    that are true where the map is not padding.

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

"""What the layers share that turn descriptors into a score for every class."""

import keras


class Classifier(keras.layers.Layer):
    """Base of the layers with one weight vector a class, a row of `kernel`.

    Such a layer serves training and is no part of the network that it trains.
    It computes in float32 under every dtype policy. A subclass implements
    `call`.

    Args:
        num_classes: at least 2.
        seed: of the random start; `None` draws one.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Input shape:
        `(batch, dimension)`.

    Output shape:
        `(batch, num_classes)`.
    """

    def __init__(self, num_classes, seed=None, **kwargs):
        super().__init__(**kwargs)
        if num_classes < 2:
            raise ValueError(
                "`num_classes` must be at least 2. "
                f"Received: num_classes={num_classes}"
            )
        self.num_classes = num_classes
        self.seed = seed
        self.input_spec = keras.layers.InputSpec(ndim=2)

    def build(self, input_shape):
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self.num_classes, input_shape[-1]),
            initializer=keras.initializers.GlorotUniform(self.seed),
            autocast=False,
        )

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.num_classes)

    def get_config(self):
        return super().get_config() | {
            "num_classes": self.num_classes,
            "seed": self.seed,
        }

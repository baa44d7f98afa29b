"""Linear scores of classes, for a plain softmax."""

import keras
from keras import ops

from agem_tf.layers.classifier import Classifier
from agem_tf.ops.precision import widen


@keras.saving.register_keras_serializable(package="agem_tf")
class LinearClassifier(Classifier):
    """Scores of classes that are linear in the descriptor.

    `z = x W^T + b`

    Args:
        num_classes: at least 2.
        seed: of the random start; `None` draws one.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Input shape:
        `(batch, dimension)`.

    Output shape:
        `(batch, num_classes)`, any number each.

    Example:

    >>> LinearClassifier(81313)(descriptors)  # (batch, 81313)

    Reference:
        [Noh et al., 2017](https://arxiv.org/abs/1612.06321)
    """

    def build(self, input_shape):
        super().build(input_shape)
        self.bias = self.add_weight(
            name="bias",
            shape=(self.num_classes,),
            initializer="zeros",
            autocast=False,
        )

    def call(self, inputs):
        products = ops.matmul(widen(inputs), ops.transpose(self.kernel))
        return ops.cast(products + self.bias, self.compute_dtype)

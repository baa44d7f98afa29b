"""Cosines between descriptors and classes, for losses on angles."""

import keras
from keras import ops

from agem_tf.layers.classifier import Classifier
from agem_tf.ops.normalization import l2_normalize
from agem_tf.ops.precision import widen


@keras.saving.register_keras_serializable(package="agem_tf")
class CosineClassifier(Classifier):
    """Cosine of the angle between a descriptor and the vector of each class.

    `cos theta_j = <x, w_j> / (||x|| ||w_j||)`

    A zero descriptor has the cosine 0 to every class. By rounding a cosine may
    lie outside of [-1, 1] by about 1e-7.

    Args:
        num_classes: at least 2.
        seed: of the random start; `None` draws one.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Input shape:
        `(batch, dimension)`; L2-normalized or not.

    Output shape:
        `(batch, num_classes)`, in [-1, 1].

    Example:

    >>> CosineClassifier(81313)(descriptors)  # (batch, 81313)

    Reference:
        [Deng et al., 2019](https://arxiv.org/abs/1801.07698)
    """

    def call(self, inputs):
        # No epsilon: it would keep a descriptor on its class's vector apart
        # from it, by an angle of 0.002.
        descriptors = l2_normalize(widen(inputs), epsilon=0.0)
        classes = l2_normalize(self.kernel, epsilon=0.0)
        cosines = ops.matmul(descriptors, ops.transpose(classes))
        return ops.cast(cosines, self.compute_dtype)

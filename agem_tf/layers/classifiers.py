"""Scores of classes, for training by classification.

`CosineClassifier` is for losses on angles, `LinearClassifier` for a plain
softmax.
"""

import keras
from keras import ops

from agem_tf.ops.argument_checks import check_at_least
from agem_tf.ops.normalization import l2_normalize
from agem_tf.ops.precision import widen


class Classifier(keras.layers.Layer):
    """Base class of the layers with a weight vector per class, or several.

    The vectors are the rows of `kernel`. Such a layer is used in training only
    and is not part of the network that it trains. It computes in float32 under
    every dtype policy. A subclass implements `call`.

    Args:
        num_classes: Number of classes, at least 2.
        seed: Seed of the initial weights; `None` draws one.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Input shape:
        `(batch, dimension)`.

    Output shape:
        `(batch, num_classes)`.
    """

    def __init__(self, num_classes, seed=None, **kwargs):
        super().__init__(**kwargs)
        check_at_least(2, num_classes=num_classes)
        self.num_classes = num_classes
        self.seed = seed
        self.input_spec = keras.layers.InputSpec(ndim=2)

    @property
    def num_vectors(self):
        """Number of rows of `kernel`."""
        return self.num_classes

    def build(self, input_shape):
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self.num_vectors, input_shape[-1]),
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


@keras.saving.register_keras_serializable(package="agem_tf")
class CosineClassifier(Classifier):
    """Cosine of the angle between a descriptor and the vector of each class.

    `cos theta_j = <x, w_j> / (||x|| ||w_j||)`

    With several centres per class, sub-centre ArcFace, `cos theta_j` is the
    largest cosine to a centre of class `j`. A class may then hold photos that
    do not look alike, and wrong labels gather at centres of their own.

    A zero descriptor has the cosine 0 to every class. By rounding a cosine can
    be outside [-1, 1] by about 1e-7.

    Args:
        num_classes: Number of classes, at least 2.
        seed: Seed of the initial weights; `None` draws one.
        num_centres: Vectors per class, at least 1; the rows of `kernel` are
            those of the first class, then those of the second, and so on.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Input shape:
        `(batch, dimension)`; L2-normalized or not.

    Output shape:
        `(batch, num_classes)`, in [-1, 1].

    Example:

    >>> CosineClassifier(81313)(descriptors)  # (batch, 81313)

    Reference:
        [Deng et al., 2019](https://arxiv.org/abs/1801.07698),
        [Deng et al., 2020](http://www.ecva.net/papers/eccv_2020/papers_ECCV/html/1445_ECCV_2020_paper.php)
        (sub-centres)
    """

    def __init__(self, num_classes, seed=None, num_centres=1, **kwargs):
        super().__init__(num_classes, seed, **kwargs)
        check_at_least(1, num_centres=num_centres)
        self.num_centres = num_centres

    @property
    def num_vectors(self):
        return self.num_classes * self.num_centres

    def call(self, inputs):
        # No epsilon: it would give equal vectors a cosine that means an angle
        # of 0.002.
        descriptors = l2_normalize(widen(inputs), epsilon=0.0)
        classes = l2_normalize(self.kernel, epsilon=0.0)
        cosines = ops.matmul(descriptors, ops.transpose(classes))
        if self.num_centres > 1:
            by_class = (-1, self.num_classes, self.num_centres)
            cosines = ops.max(ops.reshape(cosines, by_class), axis=-1)
        return ops.cast(cosines, self.compute_dtype)

    def get_config(self):
        return super().get_config() | {"num_centres": self.num_centres}


@keras.saving.register_keras_serializable(package="agem_tf")
class LinearClassifier(Classifier):
    """Linear scores of the classes.

    `z = x W^T + b`

    Args:
        num_classes: Number of classes, at least 2.
        seed: Seed of the initial weights; `None` draws one.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Input shape:
        `(batch, dimension)`.

    Output shape:
        `(batch, num_classes)`, unbounded.

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

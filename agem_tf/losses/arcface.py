"""ArcFace: a softmax that wants a margin between the angles of classes."""

import math

import keras
from keras import ops

from agem_tf.losses.softmax import SoftmaxLoss


@keras.saving.register_keras_serializable(package="agem_tf")
class ArcFaceLoss(SoftmaxLoss):
    """Softmax cross-entropy with an additive angular margin.

    With the angles `theta_j` between a photo's descriptor and the vectors of
    the classes, its class `y`, the margin `m` and the scale `s`:

    `loss = -log(exp(s cos(theta_y + m)) / (exp(s cos(theta_y + m))
    + sum over other classes j of exp(s cos theta_j)))`

    No angle is computed: `cos(theta + m) = cos theta cos m - sin theta sin m`.
    At the poles, `cos theta = 1` and `-1`, the sine has no finite slope; it
    counts as 0 there.

    Beyond `theta = pi - m`, where `cos(theta + m)` would rise again, a photo's
    score is `cos theta - m sin m`: it goes on falling, down by `m ** 2 / 2`
    from there (interpretation: the paper does not say; so does its authors'
    code). With `easy_margin`, which is theirs too, only photos within 90
    degrees of their class get a margin, and others the score `cos theta`.

    Margin 0 is the normalized softmax, with the temperature `1 / scale`.

    Args:
        margin: angle in radians, in [0, pi / 2].
        scale: factor on the cosines, above 0. The default, and that of the
            margin, are DELG's: the square root of 2048.
        easy_margin: where the margin ends, see above.
        reduction: how the photos' losses are reduced, as of Keras' losses.
        name: of the loss.
        dtype: of the computation, as of Keras' losses.

    Call arguments:
        y_true: classes of shape (photos,), as of `SoftmaxLoss`.
        y_pred: cosines of shape (photos, classes), as of
            `layers.CosineClassifier`.

    Returns:
        Losses of shape (photos,), before reduction; at least float32.

    Example:

    >>> ArcFaceLoss(margin=0.1, scale=45.25)([0], [[0.5, 0.4]])  # 0.4742

    Reference:
        [Deng et al., 2019](https://arxiv.org/abs/1801.07698),
        [Cao et al., 2020](https://arxiv.org/abs/2001.05027) (DELG)
    """

    def __init__(
        self,
        margin=0.1,
        scale=45.25,
        easy_margin=False,
        reduction="sum",
        name="arcface_loss",
        dtype=None,
    ):
        super().__init__(scale, reduction=reduction, name=name, dtype=dtype)
        if not 0 <= margin <= math.pi / 2:
            raise ValueError(
                f"`margin` must lie in [0, pi / 2]. Received: margin={margin}"
            )
        self.margin = margin
        self.easy_margin = easy_margin

    def _adjust(self, classes, scores):
        columns = ops.arange(ops.shape(scores)[1])
        own = ops.equal(columns, ops.cast(classes, "int32")[:, None])
        target = ops.sum(ops.where(own, scores, 0.0), axis=1, keepdims=True)
        return ops.where(own, self._with_margin(target), scores)

    def _with_margin(self, cosines):
        cosine, sine = math.cos(self.margin), math.sin(self.margin)
        least, lost = -cosine, sine * self.margin
        if self.easy_margin:
            least = lost = 0.0
        shifted = cosine * cosines - sine * _sine(cosines)
        return ops.where(cosines > least, shifted, cosines - lost)

    def get_config(self):
        return super().get_config() | {
            "margin": self.margin,
            "easy_margin": self.easy_margin,
        }


def _sine(cosines):
    """Sines of angles in [0, pi]; at the poles 0, with no slope.

    As a product the square keeps all digits near the poles, unlike 1 - cos^2.
    """
    squares = (1.0 - cosines) * (1.0 + cosines)
    inside = squares > 0
    return ops.where(inside, ops.sqrt(ops.where(inside, squares, 1.0)), 0.0)

"""Losses on scores of classes: softmax cross-entropy and ArcFace."""

import math

import keras
from keras import ops

from agem_tf.ops.argument_checks import check_above_zero
from agem_tf.ops.precision import widen


@keras.saving.register_keras_serializable(package="agem_tf")
class SoftmaxLoss(keras.losses.Loss):
    """Softmax cross-entropy, in nats.

    With the score `z_j` of class `j`, the photo's class `y` and the scale `s`:

    `loss = -log(exp(s z_y) / sum over classes j of exp(s z_j))`

    With label smoothing `e`, the target of a photo is `1 - e` of its class
    plus an equal share of `e` of each of the classes, its own included:

    `loss + e s (z_y - mean over classes j of z_j)`

    Args:
        scale: Factor on the scores, above 0; the inverse of a temperature.
        label_smoothing: Share of the target that all classes divide, in
            [0, 1).
        reduction: Reduction of the losses of the photos, as for Keras' losses.
        name: Name of the loss.
        dtype: Dtype of the computation, as for Keras' losses.

    Call arguments:
        y_true: Classes of shape (photos,): integers from 0 and below 2 ** 24,
            because Keras casts them to float32.
        y_pred: Scores of shape (photos, classes).

    Returns:
        Losses of shape (photos,), before reduction; at least float32.

    Example:

    >>> SoftmaxLoss()([1], [[0.0, 0.0, 0.0]])  # log 3 = 1.0986123

    Reference:
        [Noh et al., 2017](https://arxiv.org/abs/1612.06321),
        [Szegedy et al., 2016](https://arxiv.org/abs/1512.00567) (label
        smoothing)
    """

    def __init__(
        self,
        scale=1.0,
        label_smoothing=0.0,
        reduction="sum",
        name="softmax_loss",
        dtype=None,
    ):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        check_above_zero(scale=scale)
        if not 0 <= label_smoothing < 1:
            raise ValueError(
                "`label_smoothing` must lie in [0, 1). Received: "
                f"label_smoothing={label_smoothing}"
            )
        self.scale = scale
        self.label_smoothing = label_smoothing

    def call(self, y_true, y_pred):
        if len(y_true.shape) != 1 or len(y_pred.shape) != 2:
            raise ValueError(
                "`y_true` must have the shape (photos,) and `y_pred` (photos, "
                "classes). Received: "
                f"y_true.shape={tuple(y_true.shape)}, "
                f"y_pred.shape={tuple(y_pred.shape)}"
            )
        scores = self.scale * self._adjust(y_true, widen(y_pred))
        losses = keras.losses.sparse_categorical_crossentropy(
            y_true, scores, from_logits=True
        )
        if not self.label_smoothing:
            return losses
        own = ops.where(self._own(y_true, scores), scores, 0.0)
        leads = ops.sum(own, axis=1) - ops.mean(scores, axis=1)
        return losses + self.label_smoothing * leads

    def _own(self, classes, scores):
        """Returns which of the (photos, classes) are a photo's own class."""
        columns = ops.arange(ops.shape(scores)[1])
        return ops.equal(columns, ops.cast(classes, "int32")[:, None])

    def _adjust(self, classes, scores):
        """Returns the scores before scaling; a subclass changes them."""
        return scores

    def get_config(self):
        return super().get_config() | {
            "scale": self.scale,
            "label_smoothing": self.label_smoothing,
        }


@keras.saving.register_keras_serializable(package="agem_tf")
class ArcFaceLoss(SoftmaxLoss):
    """Softmax cross-entropy with an additive angular margin.

    With the angles `theta_j` between a photo's descriptor and the vectors of
    the classes, the photo's class `y`, the margin `m` and the scale `s`:

    `loss = -log(exp(s cos(theta_y + m)) / (exp(s cos(theta_y + m))
    + sum over other classes j of exp(s cos theta_j)))`

    No angle is computed: `cos(theta + m) = cos theta cos m - sin theta sin m`.
    At the poles, `cos theta = 1` and `-1`, the sine has no finite slope; the
    slope counts as 0 there.

    Beyond `theta = pi - m`, where `cos(theta + m)` would rise again, a photo's
    score is `cos theta - m sin m`, which continues to fall, after a step of
    about `-m ** 2 / 2` (interpretation: the paper does not say; its authors'
    code does so). With `easy_margin`, also from that code, only photos within
    90 degrees of their class have a margin; the score of others is
    `cos theta`.

    Margin 0 is the normalized softmax, with the temperature `1 / scale`. With a
    `CosineClassifier` of several centres per class, this is sub-centre ArcFace.
    Label smoothing is as in `SoftmaxLoss`, of the scores with the margin
    (interpretation).

    Args:
        margin: Angle in radians, in [0, pi / 2].
        scale: Factor on the cosines, above 0. The defaults of margin and scale
            are DELG's; the scale is the square root of 2048.
        easy_margin: Whether the margin ends at 90 degrees, see above.
        label_smoothing: Share of the target that all classes divide, in
            [0, 1).
        reduction: Reduction of the losses of the photos, as for Keras' losses.
        name: Name of the loss.
        dtype: Dtype of the computation, as for Keras' losses.

    Call arguments:
        y_true: Classes of shape (photos,), as for `SoftmaxLoss`.
        y_pred: Cosines of shape (photos, classes), as `CosineClassifier`
            returns them.

    Returns:
        Losses of shape (photos,), before reduction; at least float32.

    Example:

    >>> ArcFaceLoss(margin=0.1, scale=45.25)([0], [[0.5, 0.4]])  # 0.4742

    Reference:
        [Deng et al., 2019](https://arxiv.org/abs/1801.07698),
        [Cao et al., 2020](https://arxiv.org/abs/2001.05027) (DELG),
        [Deng et al., 2020](http://www.ecva.net/papers/eccv_2020/papers_ECCV/html/1445_ECCV_2020_paper.php)
        (sub-centres)
    """

    def __init__(
        self,
        margin=0.1,
        scale=45.25,
        easy_margin=False,
        label_smoothing=0.0,
        reduction="sum",
        name="arcface_loss",
        dtype=None,
    ):
        super().__init__(scale, label_smoothing, reduction, name, dtype)
        if not 0 <= margin <= math.pi / 2:
            raise ValueError(
                f"`margin` must lie in [0, pi / 2]. Received: margin={margin}"
            )
        self.margin = margin
        self.easy_margin = easy_margin

    def _adjust(self, classes, scores):
        own = self._own(classes, scores)
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
    """Returns the sines of angles in [0, pi]; at the poles 0, with slope 0.

    The square as a product keeps all digits near the poles, unlike 1 - cos^2.
    """
    squares = (1.0 - cosines) * (1.0 + cosines)
    inside = squares > 0
    return ops.where(inside, ops.sqrt(ops.where(inside, squares, 1.0)), 0.0)

"""Softmax cross-entropy of photos and their classes."""

import keras

from agem_tf.ops.precision import widen


@keras.saving.register_keras_serializable(package="agem_tf")
class SoftmaxLoss(keras.losses.Loss):
    """Cross-entropy of the softmax of a photo's scores, in nats.

    With the score `z_j` of class `j`, the photo's class `y` and the scale `s`:

    `loss = -log(exp(s z_y) / sum over classes j of exp(s z_j))`

    Args:
        scale: factor on the scores, above 0; the inverse of a temperature.
        reduction: how the photos' losses are reduced, as of Keras' losses.
        name: of the loss.
        dtype: of the computation, as of Keras' losses.

    Call arguments:
        y_true: classes of shape (photos,): whole numbers from 0, of which
            Keras, which casts them to float32, tells apart those below 2 ** 24.
        y_pred: scores of shape (photos, classes).

    Returns:
        Losses of shape (photos,), before reduction; at least float32.

    Example:

    >>> SoftmaxLoss()([1], [[0.0, 0.0, 0.0]])  # log 3 = 1.0986123

    Reference:
        [Noh et al., 2017](https://arxiv.org/abs/1612.06321)
    """

    def __init__(
        self, scale=1.0, reduction="sum", name="softmax_loss", dtype=None
    ):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        if scale <= 0:
            raise ValueError(
                f"`scale` must be above 0. Received: scale={scale}"
            )
        self.scale = scale

    def call(self, y_true, y_pred):
        if len(y_true.shape) != 1 or len(y_pred.shape) != 2:
            raise ValueError(
                "`y_true` must have the shape (photos,) and `y_pred` (photos, "
                "classes). Received: "
                f"y_true.shape={tuple(y_true.shape)}, "
                f"y_pred.shape={tuple(y_pred.shape)}"
            )
        scores = self.scale * self._adjust(y_true, widen(y_pred))
        return keras.losses.sparse_categorical_crossentropy(
            y_true, scores, from_logits=True
        )

    def _adjust(self, classes, scores):
        """Returns what the softmax takes; a subclass changes it."""
        return scores

    def get_config(self):
        return super().get_config() | {"scale": self.scale}

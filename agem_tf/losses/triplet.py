"""Triplet loss over tuples of a query, positives and negatives."""

import keras
from keras import ops

from agem_tf.losses.roles import NEGATIVE, POSITIVE, check_tuples, has_role
from agem_tf.ops.precision import widen


@keras.saving.register_keras_serializable(package="agem_tf")
class TripletLoss(keras.losses.Loss):
    """Keeps each negative farther from the query than each positive.

    `loss = sum over positives p and negatives n of
    max(||q - p|| ** 2 - ||q - n|| ** 2 + margin, 0)`

    The triplets of a tuple are summed, not averaged, and so are the tuples by
    the default reduction.

    Args:
        margin: how much farther, as a squared distance, above 0.
        reduction: how the tuples' losses are reduced, as of Keras' losses.
        name: of the loss.
        dtype: of the computation, as of Keras' losses.

    Call arguments:
        y_true: roles of shape (tuples, images): -1 for the query, which comes
            first, 1 for a positive, 0 for a negative.
        y_pred: descriptors of shape (tuples, images, dimension).

    Returns:
        Losses of shape (tuples,), before reduction; at least float32.

    Example:

    >>> descriptors = [[[1.0, 0.0], [0.8, 0.6], [0.6, 0.8], [0.0, 1.0]]]
    >>> TripletLoss(margin=0.5)([[-1, 1, 0, 0]], descriptors)  # 0.1

    Reference:
        [Gordo et al., 2017](https://arxiv.org/abs/1610.07940)
    """

    def __init__(
        self, margin=0.1, reduction="sum", name="triplet_loss", dtype=None
    ):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        if margin <= 0:
            raise ValueError(
                f"`margin` must be above 0. Received: margin={margin}"
            )
        self.margin = margin

    def call(self, y_true, y_pred):
        check_tuples(y_true, y_pred)
        descriptors = widen(y_pred)
        squares = ops.square(descriptors[:, :1] - descriptors)
        distances = ops.sum(squares, axis=-1)
        violations = ops.maximum(
            distances[:, :, None] - distances[:, None, :] + self.margin, 0.0
        )
        positive = has_role(y_true, POSITIVE, descriptors)
        negative = has_role(y_true, NEGATIVE, descriptors)
        triplets = positive[:, :, None] * negative[:, None, :]
        return ops.sum(triplets * violations, axis=(1, 2))

    def get_config(self):
        return super().get_config() | {"margin": self.margin}

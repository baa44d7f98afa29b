"""Losses on descriptors of tuples: contrastive and triplet.

The roles of a tuple's images (query, positive, negative) are numbers, because
Keras casts the arguments of a loss to one dtype.
"""

import keras
from keras import ops

from agem_tf.ops.argument_checks import check_above_zero
from agem_tf.ops.precision import Tensor, widen

QUERY = -1
POSITIVE = 1
NEGATIVE = 0


def has_role(roles: Tensor, role: int, like: Tensor) -> Tensor:
    """Returns 1 where `roles` is `role`, else 0, in the dtype of `like`."""
    return ops.cast(ops.equal(roles, role), like.dtype)


def check_tuples(roles: Tensor, descriptors: Tensor) -> None:
    """Checks that descriptors come as (tuples, images, dimension).

    Raises:
        ValueError: the static shapes are not (tuples, images) and
            (tuples, images, dimension).
    """
    if len(roles.shape) != 2 or len(descriptors.shape) != 3:
        raise ValueError(
            "`y_true` must have the shape (tuples, images) and `y_pred` "
            "(tuples, images, dimension). Received: "
            f"y_true.shape={tuple(roles.shape)}, "
            f"y_pred.shape={tuple(descriptors.shape)}"
        )


@keras.saving.register_keras_serializable(package="agem_tf")
class ContrastiveLoss(keras.losses.Loss):
    """Contrastive loss over tuples of a query, positives and negatives.

    With `D_i = sqrt(sum((x_query - x_i + epsilon) ** 2))`:

    `loss = sum over positives of D ** 2 / 2
    + sum over negatives of max(margin - D, 0) ** 2 / 2`

    The pairs of a tuple are summed, not averaged, and so are the tuples by the
    default reduction: the published learning rates are for sums.

    Args:
        margin: Distance beyond which the loss of a negative is 0, in (0, 2] for
            L2-normalized descriptors.
        epsilon: Added to differences, above 0; keeps the gradient finite where
            descriptors coincide.
        reduction: Reduction of the losses of the tuples, as for Keras' losses.
        name: Name of the loss.
        dtype: Dtype of the computation, as for Keras' losses.

    Call arguments:
        y_true: Roles of shape (tuples, images): -1 for the query, which is
            first, 1 for a positive, 0 for a negative.
        y_pred: Descriptors of shape (tuples, images, dimension).

    Returns:
        Losses of shape (tuples,), before reduction; at least float32.

    Example:

    >>> descriptors = [[[1.0, 0.0], [0.8, 0.6], [0.6, 0.8], [0.0, 1.0]]]
    >>> ContrastiveLoss(margin=0.85)([[-1, 1, 0, 0]], descriptors)  # 0.2

    Reference:
        [Radenovic et al., 2018](https://arxiv.org/abs/1711.02512)
    """

    def __init__(
        self,
        margin=0.7,
        epsilon=1e-6,
        reduction="sum",
        name="contrastive_loss",
        dtype=None,
    ):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        check_above_zero(margin=margin, epsilon=epsilon)
        self.margin = margin
        self.epsilon = epsilon

    def call(self, y_true, y_pred):
        check_tuples(y_true, y_pred)
        descriptors = widen(y_pred)
        differences = descriptors[:, :1] - descriptors + self.epsilon
        distances = ops.sqrt(ops.sum(ops.square(differences), axis=-1))
        shortfalls = ops.maximum(self.margin - distances, 0.0)
        costs = has_role(y_true, POSITIVE, descriptors) * ops.square(
            distances
        ) + has_role(y_true, NEGATIVE, descriptors) * ops.square(shortfalls)
        return 0.5 * ops.sum(costs, axis=-1)

    def get_config(self):
        return super().get_config() | {
            "margin": self.margin,
            "epsilon": self.epsilon,
        }


@keras.saving.register_keras_serializable(package="agem_tf")
class TripletLoss(keras.losses.Loss):
    """Triplet loss over tuples of a query, positives and negatives.

    `loss = sum over positives p and negatives n of
    max(||q - p|| ** 2 - ||q - n|| ** 2 + margin, 0)`

    The triplets of a tuple are summed, not averaged, and so are the tuples by
    the default reduction.

    Args:
        margin: Margin between the squared distances, above 0.
        reduction: Reduction of the losses of the tuples, as for Keras' losses.
        name: Name of the loss.
        dtype: Dtype of the computation, as for Keras' losses.

    Call arguments:
        y_true: Roles of shape (tuples, images): -1 for the query, which is
            first, 1 for a positive, 0 for a negative.
        y_pred: Descriptors of shape (tuples, images, dimension).

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
        check_above_zero(margin=margin)
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

"""Contrastive loss over tuples of a query, positives and negatives."""

import keras
from keras import ops

from agem_tf.losses.roles import NEGATIVE, POSITIVE, check_tuples, has_role
from agem_tf.ops.precision import widen


@keras.saving.register_keras_serializable(package="agem_tf")
class ContrastiveLoss(keras.losses.Loss):
    """Pulls positives to the query and pushes negatives out of a margin.

    With `D_i = sqrt(sum((x_query - x_i + epsilon) ** 2))`:

    `loss = sum over positives of D ** 2 / 2
    + sum over negatives of max(margin - D, 0) ** 2 / 2`

    The pairs of a tuple are summed, not averaged, and so are the tuples by the
    default reduction: the learning rates published for this loss mean sums.

    Args:
        margin: distance beyond which a negative costs nothing, in (0, 2] for
            L2-normalized descriptors.
        epsilon: added to differences, above 0; keeps the gradient finite where
            descriptors coincide.
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
        if margin <= 0:
            raise ValueError(
                f"`margin` must be above 0. Received: margin={margin}"
            )
        if epsilon <= 0:
            raise ValueError(
                f"`epsilon` must be above 0. Received: epsilon={epsilon}"
            )
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

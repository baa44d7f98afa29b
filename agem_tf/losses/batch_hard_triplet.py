"""Triplet loss with the hardest positive and negative of the whole batch."""

import keras
from keras import ops

from agem_tf.ops.precision import widen


@keras.saving.register_keras_serializable(package="agem_tf")
class BatchHardTripletLoss(keras.losses.Loss):
    """Keeps each image's nearest stranger farther than its farthest kin.

    With the Euclidean distance `D` and every image of the batch as anchor `a`:

    `loss_a = max(margin + max over images p of its landmark D(a, p)
    - min over images n of other landmarks D(a, n), 0)`

    An image that is alone of its landmark, or in a batch of one landmark, costs
    nothing as an anchor. The anchors are summed by the default reduction.

    Args:
        margin: how much farther, above 0.
        epsilon: least distance, above 0; keeps the gradient finite where
            descriptors coincide.
        reduction: how the images' losses are reduced, as of Keras' losses.
        name: of the loss.
        dtype: of the computation, as of Keras' losses.

    Call arguments:
        y_true: landmarks of shape (images,): whole numbers of which Keras,
            which casts them to float32, tells apart those below 2 ** 24.
        y_pred: descriptors of shape (images, dimension).

    Returns:
        Losses of shape (images,), before reduction; at least float32.

    Example:

    >>> descriptors = [[1.0, 0.0], [0.0, 1.0], [0.6, 0.8], [1.0, 0.0]]
    >>> BatchHardTripletLoss(margin=0.3)([5, 5, 8, 8], descriptors)

    Reference:
        [Hermans et al., 2017](https://arxiv.org/abs/1703.07737)
    """

    def __init__(
        self,
        margin=0.3,
        epsilon=1e-6,
        reduction="sum",
        name="batch_hard_triplet_loss",
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
        _check_images(y_true, y_pred)
        distances = self._distances(widen(y_pred))
        kin = ops.equal(y_true[:, None], y_true[None, :])
        itself = ops.cast(ops.eye(ops.shape(y_pred)[0]), "bool")
        positive = ops.logical_and(kin, ops.logical_not(itself))
        farthest = ops.max(ops.where(positive, distances, 0.0), axis=1)
        nearest = ops.min(ops.where(kin, float("inf"), distances), axis=1)
        violations = ops.maximum(self.margin + farthest - nearest, 0.0)
        return ops.where(ops.any(positive, axis=1), violations, 0.0)

    def _distances(self, x):
        """Euclidean distances of all pairs, from products: no cubic memory."""
        squares = ops.sum(ops.square(x), axis=1)
        products = ops.matmul(x, ops.transpose(x))
        squared = squares[:, None] + squares[None, :] - 2.0 * products
        return ops.sqrt(ops.maximum(squared, self.epsilon**2))

    def get_config(self):
        return super().get_config() | {
            "margin": self.margin,
            "epsilon": self.epsilon,
        }


def _check_images(landmarks, descriptors):
    if len(landmarks.shape) != 1 or len(descriptors.shape) != 2:
        raise ValueError(
            "`y_true` must have the shape (images,) and `y_pred` (images, "
            "dimension). Received: "
            f"y_true.shape={tuple(landmarks.shape)}, "
            f"y_pred.shape={tuple(descriptors.shape)}"
        )

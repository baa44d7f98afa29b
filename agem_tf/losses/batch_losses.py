"""Losses on descriptors of all images of a step: batch-hard triplet, Smooth-AP.

Every image is compared with every other one, whichever tuple it came in.
"""

import keras
from keras import ops

from agem_tf.ops.argument_checks import check_above_zero
from agem_tf.ops.normalization import l2_normalize
from agem_tf.ops.precision import widen


class BatchLoss(keras.losses.Loss):
    """Base class of the losses across a batch.

    Their `y_true` are landmarks, not the roles of the images of a tuple. The
    training gives them the images of all replicas.
    """

    across_batch = True

    def _pairs(self, landmarks, descriptors):
        """Returns whether pairs share a landmark, and the same without itself.

        Raises:
            ValueError: The static shapes are not (images,) and (images,
                dimension).
        """
        if len(landmarks.shape) != 1 or len(descriptors.shape) != 2:
            raise ValueError(
                "`y_true` must have the shape (images,) and `y_pred` (images, "
                "dimension). Received: "
                f"y_true.shape={tuple(landmarks.shape)}, "
                f"y_pred.shape={tuple(descriptors.shape)}"
            )
        same = ops.equal(landmarks[:, None], landmarks[None, :])
        itself = ops.cast(ops.eye(ops.shape(descriptors)[0]), "bool")
        return same, ops.logical_and(same, ops.logical_not(itself))


@keras.saving.register_keras_serializable(package="agem_tf")
class BatchHardTripletLoss(BatchLoss):
    """Batch-hard triplet loss.

    With the Euclidean distance `D` and every image of the batch as anchor `a`:

    `loss_a = max(margin + max over images p of its landmark D(a, p)
    - min over images n of other landmarks D(a, n), 0)`

    The loss of an anchor without another image of its landmark, or without an
    image of another landmark, is 0. The anchors are summed by the default
    reduction.

    Args:
        margin: Margin between the distances, above 0.
        epsilon: Least distance, above 0; keeps the gradient finite where
            descriptors coincide.
        reduction: Reduction of the losses of the images, as for Keras' losses.
        name: Name of the loss.
        dtype: Dtype of the computation, as for Keras' losses.

    Call arguments:
        y_true: Landmarks of shape (images,): integers below 2 ** 24, because
            Keras casts them to float32.
        y_pred: Descriptors of shape (images, dimension).

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
        check_above_zero(margin=margin, epsilon=epsilon)
        self.margin = margin
        self.epsilon = epsilon

    def call(self, y_true, y_pred):
        same, positive = self._pairs(y_true, y_pred)
        distances = self._distances(widen(y_pred))
        farthest = ops.max(ops.where(positive, distances, 0.0), axis=1)
        nearest = ops.min(ops.where(same, float("inf"), distances), axis=1)
        violations = ops.maximum(self.margin + farthest - nearest, 0.0)
        return ops.where(ops.any(positive, axis=1), violations, 0.0)

    def _distances(self, x):
        """Returns the Euclidean distances of all pairs.

        They are computed from products, without the memory of all differences.
        """
        squares = ops.sum(ops.square(x), axis=1)
        products = ops.matmul(x, ops.transpose(x))
        squared = squares[:, None] + squares[None, :] - 2.0 * products
        return ops.sqrt(ops.maximum(squared, self.epsilon**2))

    def get_config(self):
        return super().get_config() | {
            "margin": self.margin,
            "epsilon": self.epsilon,
        }


@keras.saving.register_keras_serializable(package="agem_tf")
class SmoothAPLoss(BatchLoss):
    """Smooth-AP: 1 minus the average precision, with soft ranks.

    Every image of the batch is a query for the others. With its cosine `s_i`
    to image `i`, its positives `P` (the other images of its landmark), its
    negatives `N` and `g(x) = 1 / (1 + exp(-x / temperature))`:

    `r_i = 1 + sum over j in P without i of g(s_j - s_i)`

    `loss = 1 - mean over i in P of r_i / (r_i + sum over j in N of
    g(s_j - s_i))`

    The loss of a query without positives is 0. The queries are summed by the
    default reduction. The query itself is not among its positives
    (interpretation: the paper's P does not say). The memory grows with the
    cube of the images.

    Args:
        temperature: Of the sigmoid that replaces the step of a rank, above 0.
        reduction: Reduction of the losses of the images, as for Keras' losses.
        name: Name of the loss.
        dtype: Dtype of the computation, as for Keras' losses.

    Call arguments:
        y_true: Landmarks of shape (images,): integers below 2 ** 24, because
            Keras casts them to float32.
        y_pred: Descriptors of shape (images, dimension); their length does
            not count.

    Returns:
        Losses of shape (images,), before reduction, in [0, 1]; at least
        float32.

    Example:

    >>> descriptors = [[1.0, 0.0], [0.0, 1.0], [0.6, 0.8], [1.0, 0.0]]
    >>> SmoothAPLoss()([5, 5, 8, 8], descriptors)

    Reference:
        [Brown et al., 2020](https://arxiv.org/abs/2007.12163)
    """

    def __init__(
        self,
        temperature=0.01,
        reduction="sum",
        name="smooth_ap_loss",
        dtype=None,
    ):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        check_above_zero(temperature=temperature)
        self.temperature = temperature

    def call(self, y_true, y_pred):
        same, positive = self._pairs(y_true, y_pred)
        x = l2_normalize(widen(y_pred))
        cosines = ops.matmul(x, ops.transpose(x))
        # [query, i, j]: how far image j is ahead of image i.
        ahead = cosines[:, None, :] - cosines[:, :, None]
        steps = ops.sigmoid(ahead / self.temperature)
        itself = ops.eye(ops.shape(x)[0], dtype=x.dtype)
        others = ops.cast(positive, x.dtype)
        negatives = 1.0 - ops.cast(same, x.dtype)
        among_positives = 1.0 + ops.sum(
            steps * others[:, None, :] * (1.0 - itself), axis=-1
        )
        before = ops.sum(steps * negatives[:, None, :], axis=-1)
        precisions = among_positives / (among_positives + before)
        counts = ops.sum(others, axis=-1)
        means = ops.sum(precisions * others, axis=-1) / ops.maximum(counts, 1.0)
        return ops.where(counts > 0, 1.0 - means, 0.0)

    def get_config(self):
        return super().get_config() | {"temperature": self.temperature}

"""The recipe's loss over tuples, and over all replicas where it needs them."""

import keras
import tensorflow as tf

from agem_tf import registry
from agem_tf.config import Config, LossConfig
from agem_tf.distribution.batches import gather
from agem_tf.errors import UserError
from agem_tf.losses import BatchHardTripletLoss
from agem_tf.losses.tuple_losses import NEGATIVE, POSITIVE, QUERY


class TupleObjective:
    """Sums the loss of tuples: query, positive and mined negatives.

    A loss within tuples gets their roles. A loss within batches gets every
    image with its landmark, inside a replica those of all replicas: negatives
    must not become fewer with the number of replicas.

    Raises:
        UserError: the loss does not take the recipe's options.
    """

    def __init__(self, config: Config):
        self._loss = create_loss(config.loss)
        self._roles = [QUERY, POSITIVE] + [
            NEGATIVE
        ] * config.mining.num_negatives

    def __call__(
        self, landmarks: tf.Tensor, descriptors: tf.Tensor
    ) -> tf.Tensor:
        """Computes the loss of a batch, or a replica's share of it.

        Args:
            landmarks: (tuples, images a tuple), equal for photos of one
                landmark.
            descriptors: (tuples, images a tuple, dimension).

        Returns:
            A scalar; the replicas' shares add up to the loss of the batch.
        """
        if isinstance(self._loss, BatchHardTripletLoss):
            return self._across_batch(landmarks, descriptors)
        roles = tf.tile([self._roles], (tf.shape(descriptors)[0], 1))
        return self._loss(roles, descriptors)

    def _across_batch(
        self, landmarks: tf.Tensor, descriptors: tf.Tensor
    ) -> tf.Tensor:
        images = tf.reshape(descriptors, (-1, descriptors.shape[-1]))
        numbers = tf.reshape(tf.cast(landmarks, tf.float32), (-1,))
        loss = self._loss(gather(numbers), gather(images))
        # Each replica has computed the whole.
        return loss / tf.distribute.get_strategy().num_replicas_in_sync


def create_loss(config: LossConfig) -> keras.losses.Loss:
    """Returns the recipe's loss, summed as in the published training.

    Raises:
        UserError: it does not take the recipe's options.
    """
    try:
        return registry.create(
            "loss", config.name, reduction="sum", **config.options
        )
    except (TypeError, ValueError) as error:
        raise UserError(f"The recipe's loss can't be built: {error}") from error

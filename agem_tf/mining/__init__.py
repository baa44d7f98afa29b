"""Choice of training examples by their current descriptors."""

from agem_tf.mining.hard_negatives import mine

__all__ = ["mine"]

"""Losses on tuples of descriptors, in keras.ops."""

from agem_tf.losses.contrastive import ContrastiveLoss
from agem_tf.losses.roles import NEGATIVE, POSITIVE, QUERY
from agem_tf.losses.triplet import TripletLoss

__all__ = ["NEGATIVE", "POSITIVE", "QUERY", "ContrastiveLoss", "TripletLoss"]

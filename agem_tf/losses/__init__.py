"""Losses on tuples or batches of descriptors or scores, in keras.ops."""

from agem_tf.losses.arcface import ArcFaceLoss
from agem_tf.losses.batch_hard_triplet import BatchHardTripletLoss
from agem_tf.losses.contrastive import ContrastiveLoss
from agem_tf.losses.roles import NEGATIVE, POSITIVE, QUERY
from agem_tf.losses.softmax import SoftmaxLoss
from agem_tf.losses.triplet import TripletLoss

__all__ = [
    "NEGATIVE",
    "POSITIVE",
    "QUERY",
    "ArcFaceLoss",
    "BatchHardTripletLoss",
    "ContrastiveLoss",
    "SoftmaxLoss",
    "TripletLoss",
]

"""Losses on tuples or batches of descriptors or scores, in keras.ops."""

from agem_tf.losses.class_losses import ArcFaceLoss, SoftmaxLoss
from agem_tf.losses.tuple_losses import (
    NEGATIVE,
    POSITIVE,
    QUERY,
    BatchHardTripletLoss,
    ContrastiveLoss,
    TripletLoss,
)

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

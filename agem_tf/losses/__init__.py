"""Losses on tuples or batches of descriptors or scores, in keras.ops."""

from agem_tf.losses.batch_losses import BatchHardTripletLoss, SmoothAPLoss
from agem_tf.losses.class_losses import ArcFaceLoss, SoftmaxLoss
from agem_tf.losses.tuple_losses import (
    NEGATIVE,
    POSITIVE,
    QUERY,
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
    "SmoothAPLoss",
    "SoftmaxLoss",
    "TripletLoss",
]

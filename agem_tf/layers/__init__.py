"""Attention, poolings, normalizations and classifiers, in keras.ops."""

from agem_tf.layers.batch_normalization import (
    FrozenStatisticsBatchNormalization,
)
from agem_tf.layers.cbam import CBAM
from agem_tf.layers.channel_attention import ChannelAttention
from agem_tf.layers.cosine_classifier import CosineClassifier
from agem_tf.layers.crow import CroW
from agem_tf.layers.downsampling_attention import DownsamplingAttention
from agem_tf.layers.gem import GeM
from agem_tf.layers.global_pooling import GlobalPooling
from agem_tf.layers.l2_normalization import L2Normalization
from agem_tf.layers.linear_classifier import LinearClassifier
from agem_tf.layers.mac import MAC
from agem_tf.layers.padding import PaddingMask, ZeroOutside
from agem_tf.layers.pointwise_attention import PointwiseAttention
from agem_tf.layers.regional import Regional
from agem_tf.layers.rmac import RMAC
from agem_tf.layers.scda import SCDA
from agem_tf.layers.spatial_attention import SpatialAttention
from agem_tf.layers.spoc import SPoC
from agem_tf.layers.whitening import Whitening

__all__ = [
    "CBAM",
    "ChannelAttention",
    "CosineClassifier",
    "CroW",
    "DownsamplingAttention",
    "FrozenStatisticsBatchNormalization",
    "GeM",
    "GlobalPooling",
    "L2Normalization",
    "LinearClassifier",
    "MAC",
    "PaddingMask",
    "PointwiseAttention",
    "RMAC",
    "Regional",
    "SCDA",
    "SPoC",
    "SpatialAttention",
    "Whitening",
    "ZeroOutside",
]

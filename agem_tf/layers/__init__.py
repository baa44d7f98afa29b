"""Attention, poolings, normalizations and classifiers, in keras.ops."""

from agem_tf.layers.attention_units import (
    DownsamplingAttention,
    PointwiseAttention,
)
from agem_tf.layers.batch_normalization import (
    FrozenStatisticsBatchNormalization,
)
from agem_tf.layers.cbam import CBAM, ChannelAttention, SpatialAttention
from agem_tf.layers.classifiers import CosineClassifier, LinearClassifier
from agem_tf.layers.global_poolings import (
    MAC,
    RMAC,
    SCDA,
    CroW,
    GeM,
    GlobalPooling,
    SPoC,
)
from agem_tf.layers.learned_poolings import (
    PyramidAttention,
    RegionalAttention,
    WeightedGeM,
)
from agem_tf.layers.local_attention import (
    AttentivePooling,
    LocalAttention,
    LocalBranch,
)
from agem_tf.layers.masking import PaddingMask, ZeroOutside
from agem_tf.layers.regional import Regional
from agem_tf.layers.whitening import L2Normalization, Whitening

__all__ = [
    "AttentivePooling",
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
    "LocalAttention",
    "LocalBranch",
    "MAC",
    "PaddingMask",
    "PointwiseAttention",
    "PyramidAttention",
    "RMAC",
    "Regional",
    "RegionalAttention",
    "SCDA",
    "SPoC",
    "SpatialAttention",
    "WeightedGeM",
    "Whitening",
    "ZeroOutside",
]

"""Pure functions on tensors, in keras.ops, for every Keras backend."""

from agem_tf.ops.connected_components import largest_component
from agem_tf.ops.normalization import l2_normalize
from agem_tf.ops.pooling import (
    attentive,
    crow,
    gem,
    mac,
    rmac,
    scda,
    spoc,
)
from agem_tf.ops.regions import rmac_regions, sum_over_regions

__all__ = [
    "attentive",
    "crow",
    "gem",
    "l2_normalize",
    "largest_component",
    "mac",
    "rmac",
    "rmac_regions",
    "scda",
    "spoc",
    "sum_over_regions",
]

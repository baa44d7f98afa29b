"""How much of a pretrained network's batch normalization is trained."""

import keras

from agem_tf.backbones.backbone import Backbone, copy_layer
from agem_tf.config import BATCH_NORMS
from agem_tf.layers import FrozenStatisticsBatchNormalization


def apply_mode(backbone: Backbone, mode: str) -> Backbone:
    """Returns the backbone with batch normalization in `mode`.

    Args:
        backbone: A network with Keras' own batch normalization, or none.
        mode: "trainable" leaves it as it is, "frozen_statistics" fixes the
            moving statistics and trains gamma and beta, as image retrieval
            does, and "frozen" fixes gamma and beta too.

    Raises:
        ValueError: `mode` is none of these.
    """
    if mode not in BATCH_NORMS:
        raise ValueError(
            f"`batch_norm` must be one of {list(BATCH_NORMS)}. "
            f"Received: batch_norm={mode!r}"
        )
    normalizations = [
        layer for layer in backbone.layers if _is_batch_normalization(layer)
    ]
    if mode == "frozen":
        for layer in normalizations:
            layer.trainable = False
    if mode == "frozen_statistics" and normalizations:
        return backbone.rewrite(replace_layer=_freeze_statistics)
    return backbone


def _freeze_statistics(layer: keras.layers.Layer) -> keras.layers.Layer:
    if _is_batch_normalization(layer):
        return FrozenStatisticsBatchNormalization.from_config(
            layer.get_config()
        )
    return copy_layer(layer)


def _is_batch_normalization(layer: keras.layers.Layer) -> bool:
    return isinstance(layer, keras.layers.BatchNormalization)

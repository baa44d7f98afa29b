"""Creates any backbone by name, whoever wrote its graph."""

import os
from collections.abc import Mapping
from typing import Any

from agem_tf import registry
from agem_tf.backbones.backbone import Backbone
from agem_tf.backbones.batch_norm_modes import apply_mode
from agem_tf.backbones.preprocessing import replace_scaling


def create(
    name: str,
    weights: str | os.PathLike | None = None,
    batch_norm: str = "trainable",
    preprocessing: Mapping[str, Any] | None = None,
) -> Backbone:
    """Creates a backbone.

    Args:
        name: One of `agem_tf.registry.names("backbone")`.
        weights: None for random weights, "imagenet", or the path of a file
            that fits the network.
        batch_norm: "trainable", "frozen_statistics" or "frozen".
        preprocessing: Arguments of a `ChannelScaling` that takes the place of
            the network's own, for weights that expect other pixel values.

    Returns:
        A network from "images" (batch, height, width, 3), RGB in [0, 255], to
        feature maps by name.

    Raises:
        UserError: the weights cannot be found, read or fitted.
        ValueError: `name` or `batch_norm` is unknown, or `preprocessing` does
            not fit.
    """
    build = registry.factory("backbone", name)
    backbone = build(name, weights)
    if preprocessing:
        backbone = replace_scaling(backbone, preprocessing)
    return apply_mode(backbone, batch_norm)

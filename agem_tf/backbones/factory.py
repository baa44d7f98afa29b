"""Creates any backbone by name, whoever wrote its graph."""

import os

from agem_tf import registry
from agem_tf.backbones.backbone import Backbone
from agem_tf.backbones.batch_normalization import apply_mode


def create(
    name: str,
    weights: str | os.PathLike | None = None,
    batch_norm: str = "trainable",
) -> Backbone:
    """Creates a backbone.

    Args:
        name: One of `agem_tf.registry.names("backbone")`.
        weights: None for random weights, "imagenet", or the path of a file
            that fits the network.
        batch_norm: "trainable", "frozen_statistics" or "frozen".

    Returns:
        A network from "images" (batch, height, width, 3), RGB in [0, 255], to
        feature maps by name.

    Raises:
        UserError: the weights cannot be found, read or fitted.
        ValueError: `name` or `batch_norm` is unknown.
    """
    build = registry.factory("backbone", name)
    return apply_mode(build(name, weights), batch_norm)

"""Whitening for indexes of photos: nothing else is learned.

Command: see docs/search.md, which also has scores.

The network of `agem_tf.index` (EfficientNet-lite2 with GeM, ImageNet weights,
no attention) describes the embedded data set, and whitening is learned from its
48 training landmarks. It is shrunk, because they give fewer pairs than it has
dimensions.
"""

from agem_tf.config import Config


def get_config() -> Config:
    """Returns the recipe."""
    config = Config(name="whitened_index")
    config.model.backbone = "efficientnet_lite2"
    config.model.attention = "none"
    config.image.size = 320
    config.training.epochs = 0
    config.extraction.whitening = "learned"
    config.extraction.whitening_shrinkage = 0.7
    return config

"""Networks by name: whole configurations, and what a configuration is called.

"agem" alone is the paper's network, ResNet-101 with its three attention units;
other names say which attention is on which backbone.
"""

from typing import Any

from agem_tf.config.recipe import ModelConfig
from agem_tf.errors import UserError

# Every field in which they differ from each other is given.
_NAMED: dict[str, dict[str, Any]] = {
    "agem_cbam_resnet101": {
        "backbone": "resnet101",
        "attention": "cbam",
        "attention_placement": ("C5",),
        "pooling": "gem",
        "pooling_options": {"p": 3.0},
    },
    "agem_resnet101": {
        "backbone": "resnet101",
        "attention": "agem",
        "attention_merge": "residual",
        "attention_bias": 4.0,
        "pooling": "gem",
        "pooling_options": {"p": 3.0},
    },
    "cbam_gem_efficientnet_lite0": {
        "backbone": "efficientnet_lite0",
        "attention": "cbam",
        "attention_placement": ("C5",),
        "pooling": "gem",
        "pooling_options": {"p": 3.0},
    },
    "gem_efficientnet_lite0": {
        "backbone": "efficientnet_lite0",
        "attention": "none",
        "pooling": "gem",
        "pooling_options": {"p": 3.0},
    },
    "gem_resnet101": {
        "backbone": "resnet101",
        "attention": "none",
        "pooling": "gem",
        "pooling_options": {"p": 3.0},
    },
    "rmac_resnet101": {
        "backbone": "resnet101",
        "attention": "none",
        "pooling": "mac",
        "regional": True,
    },
}
NETWORK_NAMES = tuple(_NAMED)


def named_network(name: str) -> ModelConfig:
    """Returns the configuration of a name, with ImageNet weights.

    Args:
        name: One of `NETWORK_NAMES`.

    Raises:
        UserError: There is no such name.
    """
    if name not in _NAMED:
        raise UserError(
            f"There is no network called {name!r}; names are "
            f"{', '.join(NETWORK_NAMES)}."
        )
    return ModelConfig(
        weights="imagenet",
        feature_map="C5",
        batch_norm="frozen_statistics",
        **_NAMED[name],
    )


def network_title(model: Any) -> str:
    """Returns what a network consists of.

    Args:
        model: A `ModelConfig`, or a model with its attributes.

    Returns:
        For example "resnet101 with CBAM after C5, gem pooling".
    """
    attention = {
        "agem": "with the AGeM paper's three attention units",
        "cbam": f"with CBAM after {', '.join(model.attention_placement)}",
        "none": "without attention",
    }[model.attention]
    if tuple(model.attention_placement) == ("blocks",):
        attention = attention.replace("after blocks", "in every block")
    pooling = f"{'regional ' if model.regional else ''}{model.pooling} pooling"
    return f"{model.backbone} {attention}, {pooling}"

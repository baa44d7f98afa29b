"""Where attention enters a backbone, for every kind of attention.

The AGeM paper does not say where its three units sit, nor what its final "+"
adds. Our reading: conv5 of a ResNet has three blocks, one for each unit, and
"+" adds the attended map to the map. It is all in this one file, so that
another reading is a small change.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from keras import layers

from agem_tf.backbones.backbone import Backbone, Insertion
from agem_tf.config import ATTENTIONS, MERGES
from agem_tf.layers import CBAM, DownsamplingAttention, PointwiseAttention

BLOCKS = ("blocks",)


def add_attention(
    backbone: Backbone,
    attention: str,
    placement: Sequence[str] = ("C5",),
    merge: str = "residual",
    bias: float = 4.0,
    batch_norm: str = "trainable",
) -> Backbone:
    """Returns a backbone with attention inside.

    Args:
        backbone: The network; "agem" needs one whose conv5 has three blocks.
        attention: "none", "cbam" or "agem", the paper's three units.
        placement: For "cbam", the feature maps after which it is inserted, or
            ("blocks",) for the end of every residual branch.
        merge: For "agem", how the last unit's scores A meet the map F:
            "residual" F + A * F, "add" F + A, or "mul" A * F.
        bias: For "agem", initial bias of the scores: 4 starts them at 0.98,
            so that training starts close to the network without attention.
        batch_norm: "trainable" or "frozen_statistics", of the attention.

    Raises:
        ValueError: an argument is unknown, or the network has no place for
            this attention.
    """
    _check("attention", attention, ATTENTIONS)
    _check("attention_merge", merge, MERGES)
    if attention == "none":
        return backbone
    if attention == "agem":
        return backbone.rewrite(_units(backbone, merge, bias, batch_norm))
    return backbone.rewrite(
        {
            place: _cbam(f"attention_{label}", batch_norm)
            for label, place in _cbam_places(backbone, placement).items()
        }
    )


def _check(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise ValueError(
            f"`{name}` must be one of {list(known)}. Received: {name}={value!r}"
        )


def _cbam_places(
    backbone: Backbone, placement: Sequence[str]
) -> Mapping[str, str]:
    """Returns the layers to insert after, by a label for each."""
    if tuple(placement) == BLOCKS:
        if not backbone.residual_branches:
            raise ValueError(
                f"{backbone.name} has no residual branches that are known, so "
                "attention cannot enter its blocks; name feature maps instead. "
                f"Received: attention_placement={placement!r}"
            )
        return {branch: branch for branch in backbone.residual_branches}
    known = backbone.feature_layers
    if isinstance(placement, str) or not set(placement) <= set(known):
        raise ValueError(
            '`attention_placement` must be ("blocks",) or a sequence of '
            f"feature maps of {backbone.name}, of {list(known)}. "
            f"Received: attention_placement={placement!r}"
        )
    return {feature_map: known[feature_map] for feature_map in placement}


def _cbam(name: str, batch_norm: str) -> Insertion:
    def insert(features, _):
        return CBAM(batch_norm=batch_norm, name=name)(features)

    return insert


def _units(
    backbone: Backbone, merge: str, bias: float, batch_norm: str
) -> Mapping[str, Insertion]:
    """Returns the paper's units, each at the end of a block of conv5."""
    if len(backbone.conv5_blocks) != 4:
        raise ValueError(
            f"{backbone.name} has no conv5 of three blocks, which AGeM's "
            "attention units need; use a ResNet v1, or CBAM. "
            "Received: attention='agem'"
        )
    conv4, block1, block2, block3 = backbone.conv5_blocks

    def attend_block1(features, outputs):
        unit = DownsamplingAttention(
            features.shape[-1], bias, batch_norm, name="attention_1"
        )
        return _merge("mul", features, unit(outputs[conv4]), "1")

    def attend_block2(features, outputs):
        unit = PointwiseAttention(bias, name="attention_2_1")
        return _merge("mul", features, unit(outputs[block1]), "2_1")

    def attend_block3(features, outputs):
        unit = PointwiseAttention(bias, name="attention_2_2")
        return _merge(merge, features, unit(outputs[block2]), "2_2")

    return {
        block1: attend_block1,
        block2: attend_block2,
        block3: attend_block3,
    }


def _merge(merge: str, features: Any, scores: Any, label: str) -> Any:
    if merge == "add":
        return layers.Add(name=f"attended_{label}")([features, scores])
    attended = layers.Multiply(name=f"attended_{label}")([features, scores])
    if merge == "mul":
        return attended
    return layers.Add(name=f"residual_{label}")([features, attended])

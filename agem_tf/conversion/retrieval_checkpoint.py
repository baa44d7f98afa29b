"""Checkpoints of cnnimageretrieval-pytorch: tensors and their "meta".

Reference: https://github.com/filipradenovic/cnnimageretrieval-pytorch
"""

import os
import re
import reprlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from agem_tf import registry
from agem_tf.backbones.preprocessing import TORCH
from agem_tf.conversion.descriptor_network import (
    POOLINGS,
    Linear,
    Network,
    Projection,
)
from agem_tf.errors import UserError
from agem_tf.weights import state_dictionary, tensor_pickle

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


def parse(content: Mapping[str, Any], path: str | os.PathLike) -> Network:
    """Returns the network that a checkpoint describes.

    Args:
        content: What `pytorch_checkpoint.read` returned, with a "meta".
        path: Of the file.

    Raises:
        UserError: it is incomplete, contradicts itself, or describes a network
            that this package does not have.
    """
    state = state_dictionary.of(content, path)
    try:
        return _parse(content["meta"], state, path)
    except ValueError as error:
        raise UserError(f"{path} can't be converted: {error}.") from error


def _parse(
    meta: Any, state: Mapping[str, np.ndarray], path: str | os.PathLike
) -> Network:
    if not isinstance(meta, dict):
        raise ValueError("its meta is not a dictionary")
    regional = _switch(meta, "regional")
    whitened = _switch(meta, "whitening")
    if _switch(meta, "local_whitening"):
        raise ValueError("it whitens local features before the pooling")
    if regional and whitened:
        raise ValueError(
            "it has a whitening of regions and another of their sum, and only "
            "one of them can be had"
        )
    pooling = _choice(meta, "pooling", POOLINGS)
    pool = "pool.rpool." if regional else "pool."
    layer = "pool.whiten." if regional else "whiten."
    expected = [f"{pool}p"] if pooling in ("gem", "gemmp") else []
    if regional or whitened:
        expected += [f"{layer}weight", f"{layer}bias"]
    _check_head(state, expected)
    return Network(
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
    mean = tensor_pickle.decode(whitening["m"]).ravel()
    projection = tensor_pickle.decode(whitening["P"])
    if projection.ndim != 2 or projection.shape[1] != mean.size:
        raise ValueError("m and P of a whitening (Lw) of its meta do not fit")
    return Projection(mean, projection)

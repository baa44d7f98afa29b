"""A descriptor network as a file of PyTorch describes it."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

# Arguments of our pooling layers by the names of cnnimageretrieval-pytorch.
POOLINGS = {
    "gem": ("gem", {}),
    "gemmp": ("gem", {"per_channel": True}),
    "mac": ("mac", {}),
    "rmac": ("rmac", {}),
    "spoc": ("spoc", {}),
}


class Linear(NamedTuple):
    """A linear layer: y = kernel x + bias.

    Attributes:
        kernel: (output dimension, dimension).
        bias: (output dimension,).
    """

    kernel: np.ndarray
    bias: np.ndarray


class Projection(NamedTuple):
    """A whitening learned apart from the network: y = projection (x - mean).

    Attributes:
        mean: (dimension,).
        projection: (output dimension, dimension).
    """

    mean: np.ndarray
    projection: np.ndarray


@dataclasses.dataclass(frozen=True)
class Network:
    """What the layers of `models.AGeM` are filled with.

    Attributes:
        path: Of the file.
        backbone: Name of ours, such as "resnet101_torch".
        tensors: Of the backbone, by PyTorch's names.
        pooling: One of `POOLINGS`.
        exponent: GeM's p, of shape (1,) or (channels,); None means 3.
        regional: The pooling is applied to R-MAC's regions.
        whitening: The layer after the pooling, or after each region's.
        preprocessing: Arguments of `ChannelScaling`, where they are not those
            of the backbone.
        learned: Whitenings learned apart, by the name of their data, then by
            "single_scale" or "multi_scale".
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

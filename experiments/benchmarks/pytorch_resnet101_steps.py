"""The same steps as resnet101_steps.py, in PyTorch.

In a module of its own, because TensorFlow and the PyTorch that is built for
GPUs abort when they are loaded into one process.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torchvision
from torch.fx.experimental import optimization


def _network_and_photos(
    pixels: np.ndarray, threads: int, channels_last: bool
) -> tuple[torch.nn.Module, torch.Tensor]:
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    network = torchvision.models.resnet101(weights=None).eval()
    network = torch.nn.Sequential(*list(network.children())[:-2])
    photos = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    layout = torch.channels_last if channels_last else torch.contiguous_format
    network = network.to(memory_format=layout)
    photos = photos.contiguous(memory_format=layout)
    return network, photos


def multiply(matrix: np.ndarray, bfloat16: bool) -> Callable[[], object]:
    """Returns a function that multiplies a matrix by itself."""
    tensor = torch.from_numpy(matrix)
    if bfloat16:
        tensor = tensor.bfloat16()
    return lambda: tensor @ tensor


def _autocast(bfloat16: bool) -> torch.autocast:
    return torch.autocast("cpu", torch.bfloat16, enabled=bfloat16)


def _gem(features: Any, p: Any) -> Any:
    pooled = features.clamp(min=1e-6).pow(p).mean((-2, -1)).pow(1 / p)
    return pooled / (pooled.norm(dim=1, keepdim=True) + 1e-6)


def train(
    pixels: np.ndarray,
    threads: int,
    bfloat16: bool = False,
    one_by_one: bool = False,
    channels_last: bool = False,
) -> Callable[[], object]:
    """Returns a training step; see resnet101_speed.py."""
    network, photos = _network_and_photos(pixels, threads, channels_last)
    p = torch.nn.Parameter(torch.tensor([3.0]))
    optimizer = torch.optim.Adam(
        [{"params": network.parameters()}, {"params": [p], "lr": 5e-6}],
        lr=5e-7,
        weight_decay=1e-6,
    )
    parts = photos.split(1) if one_by_one else [photos]

    def step() -> None:
        optimizer.zero_grad()
        rows = []
        for part in parts:
            with _autocast(bfloat16):
                features = network(part)
            rows.append(_gem(features.float(), p))
        rows = torch.cat(rows)
        distances = (rows[:1] - rows[1:] + 1e-6).norm(dim=1)
        near, far = distances[:1], (0.85 - distances[1:]).clamp(min=0)
        (0.5 * (near.pow(2).sum() + far.pow(2).sum())).backward()
        optimizer.step()

    return step


def extract(
    pixels: np.ndarray,
    threads: int,
    bfloat16: bool = False,
    channels_last: bool = False,
    is_folded: bool = False,
) -> Callable[[], object]:
    """Returns a call that extracts descriptors; see resnet101_speed.py."""
    network, photos = _network_and_photos(pixels, threads, channels_last)
    if is_folded:
        network = optimization.fuse(network)

    def call() -> None:
        with torch.inference_mode():
            with _autocast(bfloat16):
                features = network(photos)
            _gem(features.float(), 3.0)

    return call

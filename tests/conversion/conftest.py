"""A checkpoint as cnnimageretrieval-pytorch saves one."""

import copy

import numpy as np
import pytest

_META = {
    "architecture": "resnet18",
    "local_whitening": False,
    "pooling": "gem",
    "regional": False,
    "whitening": False,
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
    "outputdim": 512,
}
_CHILDREN = {"conv1": 0, "bn1": 1}
_CHILDREN |= {"layer1": 4, "layer2": 5, "layer3": 6, "layer4": 7}


def number_children(state):
    """Renames tensors as an nn.Sequential of a ResNet's children does."""
    renamed = {}
    for name, tensor in state.items():
        child, _, rest = name.partition(".")
        number = _CHILDREN.get(child)
        renamed[name if number is None else f"features.{number}.{rest}"] = (
            tensor
        )
    return renamed


class Checkpoint:
    """A meta and arrays by name that a test may change before it writes."""

    def __init__(self, torch_files, backbone):
        self._torch_files = torch_files
        self.meta = copy.deepcopy(_META)
        self.state = number_children(backbone)
        self.state["pool.p"] = np.array([2.7])

    def add_linear(self, prefix, dimension):
        rng = np.random.default_rng(1)
        kernel = rng.normal(size=(dimension, 512)) / 512**0.5
        self.state[f"{prefix}weight"] = kernel
        self.state[f"{prefix}bias"] = rng.normal(size=dimension)

    def write(self, path, layout="archive"):
        content = {
            "epoch": 7,
            "meta": self.meta,
            "state_dict": self._torch_files.state(self.state),
            "min_loss": np.float64(0.5),
        }
        getattr(self._torch_files, f"write_{layout}")(path, content)
        return path


@pytest.fixture
def checkpoint(torch_files, torch_state):
    """A ResNet-18 with GeM of p = 2.7."""
    return Checkpoint(torch_files, torch_state("resnet18"))


@pytest.fixture
def small_checkpoint(torch_files):
    """The same without its backbone, for what does not need one."""
    return Checkpoint(torch_files, {})

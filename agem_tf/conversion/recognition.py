"""Recognizes what kind of network a file of PyTorch holds."""

import os
import re
from collections.abc import Iterable, Mapping

import numpy as np

from agem_tf.backbones import resnet
from agem_tf.conversion import retrieval_checkpoint
from agem_tf.conversion.descriptor_network import Network
from agem_tf.errors import UserError
from agem_tf.weights import pytorch_files, state_dictionary, torchvision

_BLOCK = re.compile(r"(layer\d)\.(\d+)\.")
_VGG16_CONVOLUTIONS = {
    f"features.{i}.weight"
    for i in (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
}


def read(path: str | os.PathLike) -> Network:
    """Reads a descriptor network.

    Args:
        path: A checkpoint of cnnimageretrieval-pytorch, or a ResNet or VGG16
            of torchvision or timm, which becomes a network with GeM of p = 3.

    Raises:
        UserError: the file is missing, damaged, or holds another network.
    """
    if state_dictionary.is_safetensors(path):
        return _backbone(state_dictionary.read(path), path)
    content = pytorch_files.read(path)
    if isinstance(content, dict) and "meta" in content:
        return retrieval_checkpoint.parse(content, path)
    return _backbone(state_dictionary.of(content, path), path)


def _backbone(
    tensors: Mapping[str, np.ndarray], path: str | os.PathLike
) -> Network:
    """Returns the network of a file that holds no more than a backbone."""
    name = _identify(torchvision.torchvision_names(tensors))
    if name is None:
        first = ", ".join(repr(name[:80]) for name in sorted(tensors)[:3])
        raise UserError(
            f"{path} holds none of the networks that can be converted, "
            "ResNet-18, 34, 50, 101, 152 and VGG16 of torchvision, timm or "
            f"cnnimageretrieval-pytorch; it begins with {first or 'nothing'}."
        )
    return Network(str(path), name, tensors)


def _identify(names: Iterable[str]) -> str | None:
    """Tells a backbone by the names of its tensors alone."""
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

"""Makes a network with random weights, saves it, and describes photos with it.

    python pytorch_reference.py resnet50 archive 333x500,37x61 DIRECTORY

All of it by PyTorch, torchvision and timm, as the GeM paper says. A program of
its own, because TensorFlow and the compiler that PyTorch brings for GPUs abort
when they are loaded into one process.
"""

import pathlib
import sys

import numpy as np
import torch
import torchvision
from torch.nn import functional

_MEAN, _DEVIATION = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
# Those of the paper, and those for networks that end in a whitening.
_SCALES, _WHITENED_SCALES = (1.0, 0.7071, 0.5), (1.0, 2**0.5, 0.5**0.5)
_P = 2.7


def make_network(architecture, kind):
    """Random weights that leave no batch normalization at its identity."""
    if kind == "timm":
        import timm

        network = timm.create_model(architecture, pretrained=False).eval()
    else:
        network = getattr(torchvision.models, architecture)(weights=None).eval()
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(layer.weight, 0.5, 1)
            torch.nn.init.normal_(layer.bias, 0, 0.3)
            torch.nn.init.normal_(layer.running_mean, 0, 0.2)
            torch.nn.init.uniform_(layer.running_var, 0.5, 1.5)
    return network


def cut_features(network):
    """The network up to its last ReLU, as cnnimageretrieval-pytorch cuts it."""
    if hasattr(network, "features"):
        return network.features[:-1]
    return torch.nn.Sequential(*list(network.children())[:-2])


def make_photo(height, width):
    """Something smooth, as photos are: noise has no neighbours to resize."""
    coarse = 255 * torch.rand(1, 3, height // 8 + 2, width // 8 + 2)
    smooth = functional.interpolate(coarse, (height, width), mode="bicubic")
    return smooth.clamp(0, 255).permute(0, 2, 3, 1)


def normalize(x):
    return x / (x.norm(dim=1, keepdim=True) + 1e-6)


def gem(maps, p=_P):
    return normalize(maps.clamp(min=1e-6).pow(p).mean((-2, -1)).pow(1 / p))


def resize(image, scale, by):
    """Resizes by the ratio of the rounded sides ("sizes") or by the factor.

    PyTorch 1.0, with which the published networks were evaluated, took the
    sizes; versions from 1.6 do so only if they are asked to.
    """
    if scale == 1:
        return image
    return functional.interpolate(
        image,
        scale_factor=scale,
        mode="bilinear",
        align_corners=False,
        recompute_scale_factor=by == "sizes",
    )


def describe(features, pool, power, photo, scales, by):
    image = (photo / 255 - torch.tensor(_MEAN)) / torch.tensor(_DEVIATION)
    image = image.permute(0, 3, 1, 2)
    single = [pool(features(resize(image, scale, by))) for scale in scales]
    if len(scales) == 1:
        return single[0]
    mean = sum(x**power for x in single) / len(scales)
    return normalize(mean ** (1 / power))


def retrieval_checkpoint(architecture, features, **meta):
    usual = {"architecture": architecture, "pooling": "gem"}
    usual |= {"mean": _MEAN, "std": _DEVIATION}
    state = {f"features.{k}": x for k, x in features.state_dict().items()}
    state["pool.p"] = torch.tensor([_P])
    return {"epoch": 1, "meta": usual | meta, "state_dict": state}


def save_archive(architecture, network, features, directory):
    content = retrieval_checkpoint(architecture, features)
    torch.save(content, directory / "net.pth")
    return gem, _P


def save_stream(architecture, network, features, directory):
    """The layout before PyTorch 1.6, with an optimizer's state."""
    content = retrieval_checkpoint(architecture, features)
    optimizer = torch.optim.Adam(features.parameters())
    with torch.enable_grad():
        features(torch.zeros(1, 3, 64, 64)).mean().backward()
    optimizer.step()
    content["optimizer"] = optimizer.state_dict()
    torch.save(
        content,
        directory / "net.pth.tar",
        _use_new_zipfile_serialization=False,
    )
    return gem, _P


def save_whitened(architecture, network, features, directory):
    content = retrieval_checkpoint(architecture, features, whitening=True)
    whitening = torch.nn.Linear(512, 512)
    for name, x in whitening.state_dict().items():
        content["state_dict"][f"whiten.{name}"] = x
    torch.save(content, directory / "net.pth")
    return lambda maps: normalize(whitening(gem(maps))), 1.0


def save_torchvision(architecture, network, features, directory):
    torch.save(network.state_dict(), directory / "net.pth")
    return lambda maps: gem(maps, 3.0), 3.0


def save_safetensors(architecture, network, features, directory):
    from safetensors.torch import save_file

    save_file(network.state_dict(), directory / "net.safetensors")
    return lambda maps: gem(maps, 3.0), 3.0


save_timm = save_safetensors


@torch.no_grad()
def main(architecture, kind, sides, directory):
    torch.manual_seed(0)
    network = make_network(architecture, kind)
    features = cut_features(network)
    directory = pathlib.Path(directory)
    save = globals()[f"save_{kind}"]
    pool, power = save(architecture, network, features, directory)
    arrays = {}
    for size in sides.split(","):
        photo = make_photo(*map(int, size.split("x")))
        several = _WHITENED_SCALES if kind == "whitened" else _SCALES
        for i, scales in enumerate([(1.0,), several]):
            arrays[f"{size}_{i}_photo"] = photo.numpy()
            arrays[f"{size}_{i}_scales"] = np.array(scales)
            for by in ("sizes", "factor"):
                arrays[f"{size}_{i}_{by}"] = describe(
                    features, pool, power, photo, scales, by
                ).numpy()
    np.savez(directory / "expected.npz", **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])

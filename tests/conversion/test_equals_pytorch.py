"""Converted networks give PyTorch's descriptors, where PyTorch is installed."""

import importlib.util
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from agem_tf import conversion
from agem_tf.extraction.pyramid import ScalePyramid
from agem_tf.training import runs

_ALL = "1024x683,333x500,37x61"


@pytest.mark.parametrize(
    ("architecture", "kind", "sides"),
    [
        ("resnet18", "archive", _ALL),
        ("resnet18", "stream", "333x500"),
        ("resnet18", "whitened", "333x500,37x61"),
        ("resnet34", "archive", "333x500,37x61"),
        ("resnet50", "archive", _ALL),
        ("resnet50", "safetensors", "37x61"),
        ("resnet101", "stream", "333x500,37x61"),
        ("resnet101", "timm", "37x61"),
        ("resnet152", "torchvision", "333x500,37x61"),
        ("vgg16", "archive", _ALL),
        ("vgg16", "torchvision", "37x61"),
        ("vgg16", "timm", "37x61"),
    ],
)
def test_descriptors_at_one_and_several_scales(
    tmp_path, architecture, kind, sides
):
    further = {"safetensors": ["safetensors"], "timm": ["safetensors", "timm"]}
    for module in ("torch", "torchvision", *further.get(kind, ())):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    script = pathlib.Path(__file__).with_name("pytorch_reference.py")
    subprocess.run(
        [sys.executable, script, architecture, kind, sides, tmp_path],
        check=True,
        timeout=1200,
    )
    [checkpoint] = tmp_path.glob("net.*")
    conversion.write_run(conversion.read_network(checkpoint), tmp_path / "run")
    checkpoint.unlink()
    run = runs.open_run(tmp_path / "run", tf.distribute.get_strategy())
    with np.load(tmp_path / "expected.npz") as expected:
        for name in expected:
            case, _, resize_by = name.rpartition("_")
            if resize_by not in ("sizes", "factor"):
                continue
            scales = expected[f"{case}_scales"].tolist()
            pyramid = ScalePyramid(
                run.model, run.config.image, scales, resize_by=resize_by
            )
            descriptor = pyramid.descriptors(
                tf.constant(expected[f"{case}_photo"])
            )
            # Both divide by a norm plus 1e-6, so that theirs is not quite 1.
            pair = np.stack([descriptor, expected[name]]).astype("float64")
            cosine = np.prod(pair, axis=0).sum()
            cosine /= np.linalg.norm(pair, axis=-1).prod()
            assert cosine > 1 - 1e-6, (case, scales, resize_by)

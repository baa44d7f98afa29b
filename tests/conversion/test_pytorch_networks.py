"""Files that hold a backbone alone are recognized by their tensors."""

import numpy as np
import pytest

from agem_tf import conversion
from agem_tf.errors import UserError


@pytest.mark.parametrize(
    "architecture", ["resnet18", "resnet34", "resnet50", "vgg16"]
)
def test_recognizes_each_network(
    tmp_path, torch_files, torch_state, architecture
):
    path = tmp_path / "network.pth"
    names = dict.fromkeys(torch_state(architecture), np.ones(1))
    torch_files.write_archive(path, torch_files.state(names))
    network = conversion.read_network(path)
    assert network.backbone == f"{architecture}_torch"
    assert (network.pooling, network.exponent) == ("gem", None)


@pytest.mark.parametrize(
    ("blocks", "backbone"),
    [((3, 4, 23, 3), "resnet101_torch"), ((3, 8, 36, 3), "resnet152_torch")],
)
def test_recognizes_deep_networks_by_their_blocks(
    tmp_path, torch_files, blocks, backbone
):
    names = {
        f"layer{stage}.{block}.conv3.weight": np.ones(1)
        for stage, count in enumerate(blocks, start=1)
        for block in range(count)
    }
    torch_files.write_stream(tmp_path / "x.pth", torch_files.state(names))
    assert conversion.read_network(tmp_path / "x.pth").backbone == backbone


def test_safetensors_are_recognized_too(tmp_path, torch_state):
    safetensors = pytest.importorskip("safetensors.numpy")
    names = dict.fromkeys(torch_state("resnet18"), np.ones(1, "float32"))
    safetensors.save_file(names, tmp_path / "model.safetensors")
    network = conversion.read_network(tmp_path / "model.safetensors")
    assert network.backbone == "resnet18_torch"


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["embed.weight", "blocks.0.norm.weight"],
        ["layer1.0.conv1.weight", "layer2.0.conv1.weight"],
        ["features.0.weight", "features.3.weight"],
    ],
)
def test_other_networks_are_refused_in_one_line(tmp_path, torch_files, names):
    path = tmp_path / "other.pth"
    state = torch_files.state({name: np.ones(2) for name in names})
    torch_files.write_archive(path, state)
    with pytest.raises(UserError, match="other.pth holds none") as caught:
        conversion.read_network(path)
    assert "\n" not in str(caught.value)
    assert (sorted(names) or ["nothing"])[0] in str(caught.value)

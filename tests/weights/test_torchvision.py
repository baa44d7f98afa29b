"""PyTorch's networks give PyTorch's feature maps with PyTorch's weights."""

import numpy as np
import pytest

from agem_tf import backbones
from agem_tf.errors import UserError
from agem_tf.weights import torchvision


@pytest.fixture
def image():
    rows, columns = np.mgrid[:37, :61]
    channels = [columns * 4.0, rows * 7.0, rows * columns % 256]
    return np.stack(channels, axis=-1)[None]


@pytest.mark.parametrize(
    ("architecture", "feature_map", "mean", "golden"),
    [
        (
            "resnet18",
            "C5",
            1.3107203,
            {(0, 0, 3): 2.5139663, (1, 1, 200): 0.2982693},
        ),
        (
            "resnet34",
            "C5",
            7.272997,
            {(0, 0, 17): 6.2159524, (1, 1, 511): 19.75561},
        ),
        (
            "resnet50",
            "C5",
            3.2751493,
            {(0, 0, 401): 3.55483, (1, 1, 2000): 11.444544},
        ),
        (
            "vgg16",
            "C4",
            0.42949072,
            {(0, 0, 200): 1.6431372, (1, 1, 401): 1.1235007},
        ),
    ],
)
def test_equals_torchvision(
    image, torch_state, architecture, feature_map, mean, golden
):
    """Reference: torchvision 0.29 with the same tensors and the same image."""
    backbone = backbones.create_backbone(f"{architecture}_torch")
    torchvision.fit_tensors(backbone, torch_state(architecture), "x.pth")
    features = np.array(backbone(image)[feature_map])[0]
    assert features.mean() == pytest.approx(mean, rel=1e-4)
    for position, value in golden.items():
        assert features[position] == pytest.approx(value, rel=1e-4)


@pytest.fixture(scope="module")
def resnet18():
    return backbones.create_backbone("resnet18_torch")


def _numbered(state):
    """The names of cnnimageretrieval-pytorch: children by their number."""
    children = {"conv1": 0, "bn1": 1, "layer1": 4, "layer2": 5}
    children |= {"layer3": 6, "layer4": 7}
    return {
        ".".join([str(children[first]), *rest]): x
        for name, x in state.items()
        for first, *rest in [name.split(".")]
    }


@pytest.mark.parametrize("prefix", ["", "features."])
def test_numbered_children_are_the_same_network(resnet18, torch_state, prefix):
    state = torch_state("resnet18")
    renamed = {f"{prefix}{k}": x for k, x in _numbered(state).items()}
    renamed[f"{prefix}1.num_batches_tracked"] = np.int64(3)
    torchvision.fit_tensors(resnet18, renamed, "x.pth")
    np.testing.assert_array_equal(
        resnet18.get_layer("conv3_block1_0_conv").kernel,
        state["layer2.0.downsample.0.weight"].transpose(2, 3, 1, 0),
    )
    np.testing.assert_array_equal(
        resnet18.get_layer("conv5_block2_2_bn").moving_variance,
        state["layer4.1.bn2.running_var"],
    )


def test_classifier_and_pooling_are_left_out(resnet18, torch_state):
    extra = {
        "fc.weight": np.ones((3, 512)),
        "pool.p": np.ones(1),
        "bn1.num_batches_tracked": np.int64(3),
    }
    torchvision.fit_tensors(
        resnet18, {**torch_state("resnet18"), **extra}, "x.pth"
    )


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("layer2.1.bn1.bias", None, "layer2.1.bn1.bias is missing"),
        ("layer1.0.se.fc1.weight", np.ones(3), "se.fc1.weight' has no place"),
        ("conv1.weight", np.ones((64, 3, 3, 3)), "conv1.weight has the shape"),
        ("bn1.bias", np.ones(64, "int32"), "bn1.bias holds int32"),
    ],
)
def test_other_networks_are_refused_and_change_nothing(
    resnet18, torch_state, name, value, message
):
    state = {k: x + 1 for k, x in torch_state("resnet18").items()}
    state[name] = value
    if value is None:
        del state[name]
    before = [x.numpy() for x in resnet18.weights]
    with pytest.raises(UserError, match=f"x.pth do not fit: .*{message}"):
        torchvision.fit_tensors(resnet18, state, "x.pth")
    for old, new in zip(before, resnet18.weights, strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_network_takes_a_file_of_either_kind(
    tmp_path, resnet18, torch_state, torch_files
):
    state = torch_state("resnet18")
    path = tmp_path / "resnet18.pth"
    torch_files.write_stream(path, torch_files.state(state))
    from_torch = backbones.create_backbone("resnet18_torch", path)
    from_torch.save_weights(tmp_path / "resnet18.weights.h5")
    from_keras = backbones.create_backbone(
        "resnet18_torch", tmp_path / "resnet18.weights.h5"
    )
    for first, second in zip(
        from_torch.weights, from_keras.weights, strict=True
    ):
        np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(
        from_torch.get_layer("conv1_conv").kernel,
        state["conv1.weight"].transpose(2, 3, 1, 0),
    )


@pytest.mark.parametrize("name", ["resnet18_torch", "vgg16_torch"])
def test_there_is_nothing_to_download(name):
    with pytest.raises(UserError, match=f"{name} has no ImageNet weights"):
        backbones.create_backbone(name, "imagenet")

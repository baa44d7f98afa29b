"""A conversion is a run that extraction, whitening and export take."""

import numpy as np
import pytest
import tensorflow as tf

from agem_tf import backbones, conversion, extract
from agem_tf.datasets.preparation import prepare
from agem_tf.descriptors.linear_whitening import LinearWhitening
from agem_tf.errors import UserError
from agem_tf.extraction.identity import provenance
from agem_tf.files.provenance import check_same_provenance
from agem_tf.ops import rmac_regions
from agem_tf.saved_models import retrieval_model
from agem_tf.training import runs
from agem_tf.weights import torchvision


def convert(checkpoint, tmp_path):
    path = checkpoint.write(tmp_path / "net.pth")
    return conversion.write_run(conversion.read_network(path), tmp_path / "run")


def open_run(directory):
    return runs.open_run(directory, tf.distribute.get_strategy())


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).uniform(0, 255, (2, 45, 70, 3))


@pytest.fixture(scope="module")
def features(images, torch_state):
    """The last maps of the checkpoint's backbone, in double precision."""
    backbone = backbones.create_backbone("resnet18_torch")
    torchvision.fit_tensors(backbone, torch_state("resnet18"), "x.pth")
    return np.array(backbone(images)["C5"], "float64")


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def gem(x, p=2.7):
    return np.mean(np.maximum(x, 1e-6) ** p, axis=(1, 2)) ** (1 / p)


def use_gem(checkpoint):
    return lambda x: unit(gem(x))


def use_an_exponent_a_channel(checkpoint):
    exponents = np.linspace(1.5, 4, 512)
    checkpoint.meta["pooling"] = "gemmp"
    checkpoint.state["pool.p"] = exponents
    return lambda x: unit(gem(x, exponents))


def use_maximum(checkpoint):
    checkpoint.meta["pooling"] = "mac"
    del checkpoint.state["pool.p"]
    return lambda x: unit(x.max(axis=(1, 2)))


def use_whitening(checkpoint):
    checkpoint.meta["whitening"] = True
    checkpoint.add_linear("whiten.", 5)
    kernel = checkpoint.state["whiten.weight"]
    bias = checkpoint.state["whiten.bias"]
    return lambda x: unit(unit(gem(x)) @ kernel.T + bias)


def use_whitened_regions(checkpoint):
    checkpoint.meta["regional"] = True
    checkpoint.add_linear("pool.whiten.", 5)
    checkpoint.state["pool.rpool.p"] = checkpoint.state.pop("pool.p")
    kernel = checkpoint.state["pool.whiten.weight"]
    bias = checkpoint.state["pool.whiten.bias"]

    def describe(x):
        crops = [x] + [
            x[:, top : top + side, left : left + side]
            for top, left, side in rmac_regions(*x.shape[1:3])
        ]
        pooled = [unit(unit(gem(crop)) @ kernel.T + bias) for crop in crops]
        return unit(np.sum(pooled, axis=0))

    return describe


@pytest.mark.parametrize(
    "use",
    [
        use_gem,
        use_an_exponent_a_channel,
        use_maximum,
        use_whitening,
        use_whitened_regions,
    ],
)
def test_descriptors_are_those_that_the_checkpoint_defines(
    tmp_path, checkpoint, images, features, use
):
    describe = use(checkpoint)
    converted = convert(checkpoint, tmp_path)
    model = open_run(tmp_path / "run").model
    descriptors = model(images)
    np.testing.assert_allclose(descriptors, describe(features), atol=1e-5)
    assert converted.dimension == descriptors.shape[1]


def test_own_mean_and_deviation_reach_the_network(
    tmp_path, checkpoint, images, features
):
    checkpoint.meta |= {"mean": [0.5, 0.4, 0.3], "std": [0.1, 0.2, 0.3]}
    convert(checkpoint, tmp_path)
    model = open_run(tmp_path / "run").model
    usual = np.array([123.675, 116.28, 103.53]), [58.395, 57.12, 57.375]
    shifted = (images - usual[0]) / usual[1] * [25.5, 51, 76.5]
    shifted += np.array([127.5, 102, 76.5])
    np.testing.assert_allclose(model(shifted), unit(gem(features)), atol=1e-5)


@pytest.fixture
def dataset(tmp_path, photo_folder):
    options = {"source": str(photo_folder)}
    return prepare("photo_folder", tmp_path / "data", options)


def test_its_whitenings_fit_what_extract_writes(tmp_path, checkpoint, dataset):
    rng = np.random.default_rng(0)
    learned = {"m": rng.normal(size=(512, 1)), "P": rng.normal(size=(3, 512))}
    checkpoint.meta["Lw"] = {"sfm": {"ss": learned, "ms": learned}}
    converted = convert(checkpoint, tmp_path)
    assert list(converted.whitenings) == [
        tmp_path / "run/whitening/sfm/single_scale",
        tmp_path / "run/whitening/sfm/multi_scale",
    ]
    extracted = {}
    for directory, scales in converted.whitenings.items():
        extracted[directory] = extract.main(
            extract.ExtractOptions(
                workdir=str(tmp_path / "run"),
                output=str(tmp_path / f"descriptors{len(scales)}"),
                data_dir=str(tmp_path / "data"),
                scales=scales,
            )
        )
        whitening = LinearWhitening.load(directory, verify=True)
        descriptors = extracted[directory].descriptors
        np.testing.assert_allclose(
            whitening.apply_to(extracted[directory]).descriptors,
            unit((descriptors - learned["m"].T) @ learned["P"].T),
            atol=1e-5,
        )
    single, several = extracted
    with pytest.raises(UserError, match="differ in scales"):
        LinearWhitening.load(single).apply_to(extracted[several])


def test_it_is_exported_with_a_whitening(
    tmp_path, checkpoint, images, features
):
    learned = {"m": np.zeros(512), "P": np.eye(4, 512)[::-1].copy()}
    checkpoint.meta["Lw"] = {"sfm": {"ss": learned}}
    [directory] = convert(checkpoint, tmp_path).whitenings
    run = open_run(tmp_path / "run")
    exported = retrieval_model.export_model(
        run.model,
        tmp_path / "saved_model",
        run.config.image,
        run.config.extraction,
        LinearWhitening.load(directory),
    )
    serve = tf.saved_model.load(exported).signatures["serving_default"]
    np.testing.assert_allclose(
        serve(images=tf.constant(images, tf.float32))["descriptors"],
        unit(unit(gem(features))[:, 3::-1]),
        atol=1e-5,
    )


def test_a_backbone_alone_is_pooled_by_gem(
    tmp_path, torch_files, torch_state, images, features
):
    path = tmp_path / "resnet18.pth"
    torch_files.write_stream(path, torch_files.state(torch_state("resnet18")))
    conversion.write_run(conversion.read_network(path), tmp_path / "run")
    model = open_run(tmp_path / "run").model
    np.testing.assert_allclose(
        model(images), unit(gem(features, 3.0)), atol=1e-5
    )


def test_vgg_is_pooled_before_its_last_pooling(
    tmp_path, torch_files, torch_state, images
):
    path, state = tmp_path / "vgg16.pth", torch_state("vgg16")
    torch_files.write_archive(path, torch_files.state(state))
    conversion.write_run(conversion.read_network(path), tmp_path / "run")
    model = open_run(tmp_path / "run").model
    backbone = backbones.create_backbone("vgg16_torch")
    torchvision.fit_tensors(backbone, state, path)
    features = np.array(backbone(images)["C4"])
    assert features.shape == (2, 2, 4, 512)
    np.testing.assert_allclose(
        model(images), unit(gem(features, 3.0)), atol=1e-5
    )


def test_without_data_none_is_invented(tmp_path, small_checkpoint, monkeypatch):
    monkeypatch.chdir(tmp_path)
    network = conversion.read_network(small_checkpoint.write("net.pth"))
    with pytest.raises(UserError, match="no prepared dataset in data; make it"):
        runs.open_dataset(conversion.converted_recipe(network), "run")


def test_a_conversion_is_replaced_but_nothing_else(tmp_path, checkpoint):
    convert(checkpoint, tmp_path)
    checkpoint.state["pool.p"] = np.array([1.5])
    convert(checkpoint, tmp_path)
    pooling = open_run(tmp_path / "run").model.get_layer("pooling")
    assert float(pooling.exponent) == 1.5
    (tmp_path / "run" / "notes.txt").touch()
    with pytest.raises(UserError, match="holds notes.txt"):
        convert(checkpoint, tmp_path)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("pool.p", (3,), r"its p is of the shape \(3,\)"),
        ("features.7.1.bn2.bias", (5,), "layer4.1.bn2.bias has the shape"),
    ],
)
def test_tensors_that_do_not_fit_write_nothing(
    tmp_path, checkpoint, name, shape, message
):
    checkpoint.state[name] = np.ones(shape)
    with pytest.raises(UserError, match=f"net.pth .*{message}"):
        convert(checkpoint, tmp_path)
    assert not (tmp_path / "run").exists()


def test_a_whitening_of_another_dimension_is_refused(tmp_path, checkpoint):
    learned = {"m": np.zeros(3), "P": np.eye(3)}
    checkpoint.meta["Lw"] = {"sfm": {"ss": learned}}
    with pytest.raises(UserError, match="of sfm is for .* 3 dimensions"):
        convert(checkpoint, tmp_path)


def test_scales_may_be_resized_as_in_pytorch_today(tmp_path, checkpoint):
    learned = {"m": np.zeros(512), "P": np.eye(4, 512)}
    checkpoint.meta["Lw"] = {"sfm": {"ss": learned, "ms": learned}}
    network = conversion.read_network(checkpoint.write(tmp_path / "net.pth"))
    converted = conversion.write_run(network, tmp_path / "run", "factor")
    run = open_run(tmp_path / "run")
    assert run.config.extraction.resize_by == "factor"
    assert len(converted.whitenings) == 2
    for directory, scales in converted.whitenings.items():
        made = LinearWhitening.load(directory).provenance
        settings = run.with_settings(scales).config
        check_same_provenance(
            made, provenance(run.model, settings.image, settings.extraction)
        )

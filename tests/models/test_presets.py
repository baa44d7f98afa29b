"""Presets are written, read, downloaded, and refused."""

import dataclasses
import gc
import json
import sys
import types

import keras
import numpy as np
import pytest

import agem_tf
from agem_tf.config import ExtractionConfig, ImageConfig, named_network
from agem_tf.errors import UserError
from agem_tf.library.photo_models import model_for_photos
from agem_tf.models import AGeM
from agem_tf.models.presets import read_preset
from agem_tf.photos.canvases import at_size
from agem_tf.saved_models.retrieval_model import ExportableModel


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return AGeM(pooling_options={"p": 2.5})


@pytest.fixture(scope="module")
def preset(model, tmp_path_factory):
    directory = tmp_path_factory.mktemp("presets") / "mine"
    model.save_preset(directory)
    return directory


@pytest.fixture
def changed_preset(preset, reseal, tmp_path):
    """Returns a function that alters the description of a preset's network."""

    def change_of(change):
        for path in preset.iterdir():
            (tmp_path / path.name).write_bytes(path.read_bytes())
        config = json.loads((preset / "config.json").read_bytes())
        inner = config["config"] | change.get("config", {})
        config = config | change | {"config": inner}
        known = {k: value for k, value in config.items() if value is not None}
        (tmp_path / "config.json").write_text(json.dumps(known))
        reseal(tmp_path)
        return tmp_path

    return change_of


def check_same(found, model):
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 48, 3))
    assert found.get_config() == model.get_config()
    np.testing.assert_array_equal(found(images), model(images))


def test_a_preset_is_the_model(preset, model):
    check_same(agem_tf.load(preset), model)
    settings = json.loads((preset / "preprocessor.json").read_bytes())
    assert settings["image"]["size"] == 128
    assert "library_name: keras" in (preset / "README.md").read_text()
    model.save_preset(preset)
    (preset / "README.md").write_text("A completed card.")
    agem_tf.load(preset)


def test_a_preset_keeps_how_photos_are_resized(model, tmp_path):
    extraction = ExtractionConfig(scales=(1.0, 0.5), resize_by="factor")
    model.save_preset(tmp_path / "mine", ImageConfig(96), extraction)
    found = read_preset(tmp_path / "mine")
    assert found.image.size == 96
    assert found.extraction == extraction


@pytest.mark.parametrize(
    ("part", "name", "value", "fault"),
    [
        ("image", "size", "large", "size must be of type int, not 'large'"),
        ("image", "size", 10**9, "size must be at most 16384"),
        ("image", "colours", 3, "unexpected keyword argument 'colours'"),
        (None, "scales", [0.0], "scales must be positive"),
        (None, "resize_by", 2, "resize_by must be of type str, not 2"),
    ],
)
def test_settings_of_a_stranger_are_checked(
    model, reseal, tmp_path, part, name, value, fault
):
    directory = tmp_path / "mine"
    model.save_preset(directory)
    path = directory / "preprocessor.json"
    settings = json.loads(path.read_bytes())
    (settings[part] if part else settings)[name] = value
    path.write_text(json.dumps(settings))
    reseal(directory)
    with pytest.raises(UserError, match=f"preprocessor.json .*{fault}"):
        read_preset(directory)


def test_canvases_of_a_preset_change_with_the_size(model, tmp_path):
    image = ImageConfig(size=64, resize="aspect", buckets=((64, 64), (64, 32)))
    model.save_preset(tmp_path / "run", image, ExtractionConfig())
    found = model_for_photos(
        preset=str(tmp_path / "run"), image_size=128, scales=(1.0, 0.7)
    )
    extraction = ExtractionConfig(scales=(1.0, 0.7))
    expected = ExportableModel(model, at_size(image, 128), extraction)
    assert found.provenance == expected.provenance


def test_a_preset_is_downloaded(preset, model, monkeypatch, tmp_path):
    # The cache of huggingface_hub consists of links.
    for path in preset.iterdir():
        (tmp_path / path.name).symlink_to(path)
    asked = []

    def download(repository, revision, allow_patterns):
        asked.append((repository, revision))
        assert set(allow_patterns) == {path.name for path in preset.iterdir()}
        return str(tmp_path)

    hub = types.SimpleNamespace(snapshot_download=download)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    check_same(agem_tf.load("hf://someone/net@v1.0"), model)
    assert asked == [("someone/net", "v1.0")]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere", "no preset 'nowhere'; .*gem_resnet101"),
        ("hf://../..//x", "no preset on Hugging Face"),
        ("hf://someone/net", r"pip install '.\[hub\]'"),
    ],
)
def test_other_sources_are_refused(source, message, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UserError, match=message):
        agem_tf.load(source)


@pytest.mark.parametrize(
    "change",
    [
        {"registered_name": "Sequential", "class_name": "Sequential"},
        {"class_name": None},
        {"config": {"local_options": "x"}},
        {"config": {"backbone": "convnextxlarge"}},
        {"config": {"pooling": "rmac", "pooling_options": {"levels": 9999}}},
    ],
    ids=[
        "other class",
        "no class",
        "options of no branch",
        "more numbers than weights",
        "regions without end",
    ],
)
def test_a_preset_of_no_network_is_refused(changed_preset, change):
    with pytest.raises(UserError, match="config.json can't be read"):
        agem_tf.load(changed_preset(change))


def test_nothing_of_a_refused_preset_gets_memory_later(changed_preset):
    """Keras keeps what has no memory yet, for the next network that loads."""
    before = sum(isinstance(x, keras.Variable) for x in gc.get_objects())
    with pytest.raises(UserError, match="numbers"):
        agem_tf.load(changed_preset({"config": {"backbone": "resnet152"}}))
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    gc.collect()
    after = sum(isinstance(x, keras.Variable) for x in gc.get_objects())
    assert after <= before + 10


def test_objects_to_compile_a_preset_with_are_not_created(
    changed_preset, model
):
    loss = {
        "module": "keras.layers",
        "class_name": "Embedding",
        "config": {"input_dim": 9, "output_dim": 9},
        "registered_name": None,
    }
    settings = {"optimizer": "adam", "loss": loss}
    found = agem_tf.load(changed_preset({"compile_config": settings}))
    assert not found.compiled
    check_same(found, model)


def test_a_name_is_a_network_with_imagenet_weights():
    found = agem_tf.load("cbam_gem_efficientnet_lite0")
    expected = AGeM("efficientnet_lite0", "imagenet", pooling_options={"p": 3})
    assert found.get_config() == expected.get_config()
    kernels = [
        next(
            weight
            for weight in network.weights
            if weight.path.endswith("kernel")
        )
        for network in (found, expected)
    ]
    np.testing.assert_array_equal(*kernels)
    # The paper's, without ResNet-101's download.
    paper = dataclasses.asdict(named_network("agem_resnet101"))
    assert AGeM(**paper | {"weights": None}).dimension == 2048

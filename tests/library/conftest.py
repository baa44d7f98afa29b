"""Photos of a few places, and a tiny model as if a run had trained it."""

import dataclasses
import os
import pathlib
import shutil

import keras
import numpy as np
import PIL.Image
import pytest

from agem_tf import config
from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.library.indexing import index_photos
from agem_tf.models import AGeM
from agem_tf.photos.listing import list_folder
from agem_tf.retrieval.indexes import storage_at
from agem_tf.saved_models.retrieval_model import load_exported
from agem_tf.training import runs, workdir

PLACES, PHOTOS = 4, 3


@pytest.fixture(scope="session")
def photos(tmp_path_factory) -> pathlib.Path:
    """Twelve photos in folders of any depth; a place has its own colours."""
    root = tmp_path_factory.mktemp("album") / "photos"
    rng = np.random.default_rng(0)
    for place in range(PLACES):
        coarse = rng.integers(0, 255, (4, 5, 3))
        folder = root.joinpath(*(f"deep{i}" for i in range(place)))
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(PHOTOS):
            noisy = np.clip(coarse + rng.normal(0, 20, coarse.shape), 0, 255)
            photo = PIL.Image.fromarray(noisy.astype(np.uint8))
            suffix = "jpg" if number else "png"
            path = folder / f"place{place} {number}.{suffix}"
            photo.resize((90, 70), PIL.Image.BICUBIC).save(path, quality=95)
    return root


@pytest.fixture(scope="session")
def run_directory(tmp_path_factory) -> pathlib.Path:
    """Workdir of a run that ended with random weights, at 64 pixels."""
    directory = tmp_path_factory.mktemp("run")
    recipe = config.Config()
    recipe.image = config.ImageConfig(size=64, resize="aspect")
    recipe.model.weights = None
    recipe.model.attention = "none"
    recipe.model.feature_map = "C3"
    keras.utils.set_random_seed(0)
    model = AGeM(**dataclasses.asdict(recipe.model))
    workdir.claim_workdir(directory, recipe, "no dataset")
    runs.save_model(model, directory / workdir.BEST_MODEL)
    return directory


@pytest.fixture(scope="session")
def indexed(photos, run_directory, tmp_path_factory) -> str:
    """Place of an exact index of the photos; not to be changed."""
    place = str(tmp_path_factory.mktemp("indexed") / "index")
    index_photos(storage_at(place), str(photos), workdir=str(run_directory))
    return place


@pytest.fixture
def own_index(indexed, tmp_path) -> str:
    """Place of a copy of that index, which a test may change."""
    return str(shutil.copytree(indexed, tmp_path / "own" / "index"))


@pytest.fixture(scope="session")
def extracted(indexed, photos, tmp_path_factory) -> str:
    """The same photos as a descriptor set."""
    directory = str(tmp_path_factory.mktemp("extracted") / "descriptors")
    extractor = load_exported(storage_at(indexed).open().model)
    ((paths, rows),) = extractor.files(list_folder(str(photos)))
    names = [os.path.relpath(path, photos) for path in paths]
    DescriptorSet(names, rows, extractor.provenance).save(directory)
    return directory

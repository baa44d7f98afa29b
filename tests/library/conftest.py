"""Photos of a few places, and a tiny model as if a run had trained it."""

import os
import pathlib
import shutil

import pytest

from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.library.indexing import index_photos
from agem_tf.photos.listing import list_folder
from agem_tf.retrieval.indexes import storage_at
from agem_tf.saved_models.retrieval_model import load_exported

PLACES, PHOTOS = 4, 3


@pytest.fixture(scope="session")
def photos(tmp_path_factory, place_photos) -> pathlib.Path:
    """Twelve photos of four places, in folders of any depth."""
    root = tmp_path_factory.mktemp("album") / "photos"
    for place, number, photo in place_photos(PLACES, PHOTOS):
        folder = root.joinpath(*(f"deep{i}" for i in range(place)))
        folder.mkdir(parents=True, exist_ok=True)
        suffix = "jpg" if number else "png"
        photo.save(folder / f"place{place} {number}.{suffix}", quality=95)
    return root


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

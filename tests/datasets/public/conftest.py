"""Small copies of public data sets, in the layouts of their downloads."""

import pickle

import numpy as np
import PIL.Image
import pytest

from agem_tf.datasets.preparation import prepare


@pytest.fixture
def write_photo():
    """Returns what writes a small photo, whatever the suffix, as JPEG."""

    def write(path, seed=0, size=(40, 36), **options):
        rng = np.random.default_rng(seed)
        coarse = PIL.Image.fromarray(rng.integers(0, 255, (6, 8, 3), np.uint8))
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse.resize(size).save(path, format="JPEG", **options)

    return write


@pytest.fixture
def write_pickle():
    """Returns what writes a pickle as Python 2 did."""

    def write(path, value):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps(value, protocol=2))

    return write


@pytest.fixture
def prepare_public(tmp_path):
    """Returns what prepares the dataset in tmp_path / "source"."""

    def run(dataset, directory="data", **options):
        source = {"source": str(tmp_path / "source")}
        return prepare(dataset, tmp_path / directory, source | options)

    return run

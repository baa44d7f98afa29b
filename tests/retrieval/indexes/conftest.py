"""Clustered descriptors, and a factory of indexes of every kind."""

import numpy as np
import pytest

from agem_tf.retrieval.indexes import Origin, storage_at

faiss = pytest.importorskip("faiss")
# On a busy machine its threads wait for each other in busy loops.
faiss.omp_set_num_threads(1)

CLUSTERS, MEMBERS, DIMENSION = 30, 10, 16


@pytest.fixture(scope="session")
def descriptors():
    """(300, 16) of unit length, in 30 consecutive clusters of ten."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(CLUSTERS, 1, DIMENSION))
    members = 0.2 * rng.normal(size=(CLUSTERS, MEMBERS, DIMENSION))
    rows = (centres + members).reshape(-1, DIMENSION).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(scope="session")
def names(descriptors):
    """Names of photos, with quotes and non-ASCII letters."""
    return [f"place's {row // MEMBERS}/é{row}.jpg" for row in range(300)]


@pytest.fixture
def make(tmp_path, names, descriptors):
    """Function that creates an index of the first photos in a storage."""

    def make_index(factory, place=None, count=300, **origin):
        storage = storage_at(place or str(tmp_path / "index"))
        origin = Origin({"model": "a1b2"}, **origin)
        with storage.created() as draft:
            index = draft.start(factory, DIMENSION, origin)
            index.add(names[:count], descriptors[:count])
        return storage

    return make_index

"""Photos of a few places, each place with features of its own."""

import numpy as np
import pytest

from agem_tf.descriptors.local_features import (
    LocalFeatures,
    LocalFeatureSet,
    LocalFeatureWriter,
)

PLACES, PHOTOS, DIMENSION = 5, 3, 16
PROVENANCE = {"model": "any"}


def photo_features(place: int, photo: int, count: int = 40) -> LocalFeatures:
    """Features of a place, noisy, among a quarter as many of no place."""
    shared = np.random.default_rng(place).normal(size=(count, DIMENSION))
    rng = np.random.default_rng([place, photo, 1])
    descriptors = np.concatenate(
        [
            shared + 0.05 * rng.normal(size=shared.shape),
            rng.normal(size=(count // 4, DIMENSION)),
        ]
    )
    descriptors /= np.linalg.norm(descriptors, axis=1, keepdims=True)
    total = len(descriptors)
    return LocalFeatures(
        rng.uniform(0, 99, (total, 2)),
        descriptors,
        rng.uniform(size=total),
        np.ones(total),
        (100, 100),
    )


@pytest.fixture(scope="session")
def write_features():
    """Returns a function that writes features of names "place/photo"."""

    def write(directory, names, provenance=PROVENANCE, empty=()):
        with LocalFeatureWriter(
            directory, names, DIMENSION, provenance
        ) as writer:
            for name in names:
                if name in empty:
                    writer.write(LocalFeatures.none(DIMENSION, (100, 100)))
                else:
                    writer.write(photo_features(*map(int, name.split("/"))))
        return LocalFeatureSet.load(directory)

    return write


@pytest.fixture(scope="session")
def names():
    return [f"{p}/{n}" for p in range(PLACES) for n in range(PHOTOS)]


@pytest.fixture(scope="session")
def features(tmp_path_factory, write_features, names):
    return write_features(tmp_path_factory.mktemp("set") / "features", names)

"""Descriptors and ground truths with many ties, made from a seed."""

import numpy as np
import pytest

from agem_tf.evaluation.ground_truth import GroundTruth, QueryTruth


def random_truth(rng, queries, photos, most):
    """Up to `most` photos of each kind, often none."""
    entries = []
    for _ in range(queries):
        sizes = rng.integers(0, most + 1, size=3)
        labelled = rng.choice(photos, sizes.sum(), replace=False)
        entries.append(QueryTruth(*np.split(labelled, np.cumsum(sizes[:2]))))
    return GroundTruth(
        [f"photo {i}" for i in range(photos)],
        [f"query {i}" for i in range(queries)],
        entries,
    )


@pytest.fixture
def tied():
    """Nine queries, 200 photos that share few similarities, what is right."""
    rng = np.random.default_rng(0)
    rows = rng.integers(-2, 3, size=(209, 4)).astype(np.float32)
    return rows[:9], rows[9:], random_truth(rng, 9, 200, 6)

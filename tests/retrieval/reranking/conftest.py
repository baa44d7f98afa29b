"""Clustered descriptors, like those of photos of landmarks."""

import numpy as np
import pytest


def _normalized(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def descriptors():
    """Six queries and seventy photos around ten directions, float64."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(10, 9))
    labels = rng.integers(10, size=76)
    rows = _normalized(centres[labels] + 0.7 * rng.normal(size=(76, 9)))
    return rows[:6], rows[6:]


@pytest.fixture
def assert_sorted():
    """Checks that scores decrease in an order, up to rounding."""

    def check(order, scores, tolerance=1e-5):
        assert sorted(order.tolist()) == list(range(len(scores)))
        assert np.all(np.diff(np.asarray(scores)[order]) <= tolerance)

    return check

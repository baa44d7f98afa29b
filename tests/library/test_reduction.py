"""Shorter descriptors keep their neighbours."""

import numpy as np
import pytest

from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.descriptors.linear_whitening import LinearWhitening
from agem_tf.errors import UserError
from agem_tf.library.reduction import Reduction


@pytest.fixture
def described():
    """(60, 12) that lie near a plane of four dimensions."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60, 4)) @ rng.normal(size=(4, 12))
    rows += 0.05 * rng.normal(size=rows.shape)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    names = [str(number) for number in range(60)]
    return DescriptorSet(names, rows, {"model": "a1b2", "whitening": None})


def test_nothing_asked_for_changes_nothing(described, tmp_path):
    assert Reduction().check(12, 60) == 12
    same, whitening = Reduction().apply(described, tmp_path)
    assert same is described
    assert whitening is None


def test_a_pca_keeps_neighbours(described, tmp_path):
    reduction = Reduction(dimension=4)
    assert reduction.check(12, 60) == 4
    reduced, whitening = reduction.apply(described, tmp_path)
    assert reduced.descriptors.shape == (60, 4)
    assert reduced.provenance["whitening"] == whitening.label(4)
    similarities = [
        rows @ rows.T - 2 * np.eye(60)
        for rows in (described.descriptors, reduced.descriptors)
    ]
    first, second = (each.argmax(axis=1) for each in similarities)
    assert (first == second).mean() > 0.7


def test_a_whitening_is_applied_as_it_is(described, tmp_path):
    rng = np.random.default_rng(1)
    whitening = LinearWhitening(
        rng.normal(size=12),
        rng.normal(size=(7, 12)),
        "learned",
        described.provenance,
    )
    reduction = Reduction(whitening, 5)
    assert reduction.check(12, 3) == 5
    reduced, used = reduction.apply(described, tmp_path)
    expected = whitening.apply_to(described, 5)
    np.testing.assert_allclose(
        reduced.descriptors, expected.descriptors, atol=1e-6
    )
    assert reduced.provenance == expected.provenance
    assert used is whitening


def test_dimensions_that_can_not_be_had_are_refused(described):
    whitening = LinearWhitening(np.zeros(12), np.ones((7, 12)), "pca")
    with pytest.raises(UserError, match="1 to 7 dimensions.*dimension=8"):
        Reduction(whitening, 8).check(12, 60)
    for dimension, count in ((13, 60), (5, 5), (0, 60)):
        with pytest.raises(UserError, match=f"--dimension={dimension}$"):
            Reduction(dimension=dimension).check(12, count)

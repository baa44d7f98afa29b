"""PCA and learned whitening."""

import numpy as np
import pytest

from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.descriptors.whitening_learning import (
    learn_by_method,
    learn_pca,
    learn_whitening,
    positive_pairs,
)
from agem_tf.errors import UserError


def _landmarks(photos=300, dimension=64, landmarks=40):
    """Photos around landmarks, spread unequally over the dimensions."""
    rng = np.random.default_rng(0)
    labels = rng.integers(landmarks, size=photos)
    centres = rng.normal(size=(landmarks, dimension))
    noise = rng.normal(size=(photos, dimension)) * rng.uniform(
        0.2, 1.5, dimension
    )
    x = centres[labels] + noise
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return x.astype(np.float32), labels


def test_pca_gives_unit_variances():
    x, _ = _landmarks()
    whitening = learn_pca(x, provenance={"model": "a1b2"})
    projected = (x - whitening.mean) @ whitening.projection.T
    np.testing.assert_allclose(
        np.cov(projected.T, bias=True), np.eye(64), atol=1e-6
    )
    assert whitening.kind == "pca"
    assert whitening.provenance == {"model": "a1b2"}


def test_pca_directions_have_falling_variance():
    x, _ = _landmarks()
    whitening = learn_pca(x, power=0.0)
    variances = ((x - whitening.mean) @ whitening.projection.T).var(axis=0)
    assert np.all(np.diff(variances) < 0)
    np.testing.assert_allclose(
        whitening.projection @ whitening.projection.T, np.eye(64), atol=1e-9
    )


def test_a_power_keeps_part_of_the_variance():
    x, _ = _landmarks()
    rotation = learn_pca(x, power=0.0)
    variances = ((x - rotation.mean) @ rotation.projection.T).var(axis=0)
    partial = learn_pca(x, power=0.25)
    projected = (x - partial.mean) @ partial.projection.T
    np.testing.assert_allclose(
        projected.var(axis=0), np.sqrt(variances), rtol=1e-6
    )


def test_pca_of_fewer_photos_than_dimensions_keeps_what_varies():
    x, _ = _landmarks(photos=20, dimension=64)
    whitening = learn_pca(x)
    assert whitening.projection.shape == (19, 64)
    projected = (x - whitening.mean) @ whitening.projection.T
    np.testing.assert_allclose(
        np.cov(projected.T, bias=True), np.eye(19), atol=1e-6
    )


def test_learned_whitening_makes_pairs_white():
    x, labels = _landmarks(photos=300, dimension=64)
    queries, positives = positive_pairs(labels)
    whitening = learn_whitening(x, queries, positives)
    x = x.astype(np.float64)
    difference = x[queries] - x[positives]
    within = difference.T @ difference / len(queries)
    np.testing.assert_allclose(
        whitening.projection @ within @ whitening.projection.T,
        np.eye(64),
        atol=1e-6,
    )
    np.testing.assert_allclose(
        whitening.mean, x[queries].mean(axis=0), atol=1e-12
    )


def test_learned_directions_have_falling_spread_and_are_uncorrelated():
    x, labels = _landmarks()
    whitening = learn_whitening(x, *positive_pairs(labels))
    projected = (x - whitening.mean) @ whitening.projection.T
    spread = projected.T @ projected
    assert np.all(np.diff(np.diag(spread)) < 0)
    off_diagonal = spread - np.diag(np.diag(spread))
    assert np.abs(off_diagonal).max() < 1e-6 * np.diag(spread).max()


def test_learned_whitening_brings_pairs_closer_than_others():
    x, labels = _landmarks()
    whitened = learn_whitening(x, *positive_pairs(labels)).apply(x)
    same = labels[:, None] == labels[None]
    np.fill_diagonal(same, False)

    def margin(descriptors):
        similarities = descriptors @ descriptors.T
        return similarities[same].mean() - similarities[~same].mean()

    assert margin(whitened) > margin(x - x.mean(axis=0))


def test_more_dimensions_than_pairs_still_factorize():
    x, _ = _landmarks(photos=20, dimension=64)
    whitening = learn_whitening(x, np.arange(0, 10), np.arange(10, 20))
    assert whitening.projection.shape == (64, 64)
    assert np.isfinite(whitening.apply(x)).all()


def test_identical_pairs_still_factorize():
    x, _ = _landmarks(photos=20, dimension=8)
    whitening = learn_whitening(x, np.arange(20), np.arange(20))
    assert np.isfinite(whitening.projection).all()


def test_pairs_are_all_ordered_pairs_of_a_landmark():
    labels = ["b", "a", "b", "c", "a", "b"]
    queries, positives = positive_pairs(labels)
    pairs = zip(queries.tolist(), positives.tolist(), strict=True)
    assert sorted(pairs) == [
        (0, 2), (0, 5), (1, 4), (2, 0), (2, 5), (4, 1), (5, 0), (5, 2)
    ]  # fmt: skip


def test_drawn_pairs_are_distinct_and_repeatable():
    labels = np.repeat(np.arange(7), [1, 2, 30, 4, 5, 60, 7])
    queries, positives = positive_pairs(labels, max_pairs=100, seed=3)
    assert len(set(zip(queries, positives, strict=True))) == 100
    assert np.all(labels[queries] == labels[positives])
    assert np.all(queries != positives)
    again = positive_pairs(labels, max_pairs=100, seed=3)
    np.testing.assert_array_equal(again, (queries, positives))
    other = positive_pairs(labels, max_pairs=100, seed=4)
    assert not np.array_equal(other, (queries, positives))


def test_labels_without_pairs_are_refused():
    for labels in ([1, 2, 3], []):
        with pytest.raises(UserError, match="No landmark has two photos"):
            positive_pairs(labels)


def test_faulty_input_is_refused():
    x, _ = _landmarks(photos=20, dimension=8)
    with pytest.raises(UserError, match="there are none"):
        learn_whitening(x, [], [])
    with pytest.raises(UserError, match="from 1 to 20"):
        learn_whitening(x, [1, 2], [3, 20])
    with pytest.raises(UserError, match="one positive"):
        learn_whitening(x, [1, 2], [3])
    with pytest.raises(UserError, match=r"shape \(8,\)"):
        learn_pca(x[0])
    with pytest.raises(UserError, match="at least two"):
        learn_pca(x[:1])
    with pytest.raises(UserError, match="all descriptors agree"):
        learn_pca(np.ones((5, 8)))
    x[7, 2] = np.nan
    with pytest.raises(UserError, match="Descriptor 7"):
        learn_pca(x)
    with pytest.raises(UserError, match="Descriptor 7"):
        learn_whitening(x, [1], [2])


def test_shrinkage_whitens_pairs_mixed_with_a_sphere():
    x, labels = _landmarks(photos=60, dimension=96, landmarks=15)
    queries, positives = positive_pairs(labels)
    whitening = learn_whitening(x, queries, positives, 0.3)
    difference = x[queries].astype(np.float64) - x[positives]
    within = difference.T @ difference / len(queries)
    sphere = np.trace(within) / 96 * np.eye(96)
    mixed = (1 - 0.3) * within + 0.3 * sphere
    np.testing.assert_allclose(
        whitening.projection @ mixed @ whitening.projection.T,
        np.eye(96),
        atol=1e-9,
    )


@pytest.mark.parametrize("shrinkage", [-0.1, 1.1, np.nan])
def test_a_shrinkage_out_of_range_is_refused(shrinkage):
    x, labels = _landmarks()
    with pytest.raises(UserError, match=r"\[0, 1\]"):
        learn_whitening(x, *positive_pairs(labels), shrinkage)


def test_pca_has_no_shrinkage():
    x, _ = _landmarks()
    descriptors = DescriptorSet([str(i) for i in range(len(x))], x)
    with pytest.raises(UserError, match="Only learned"):
        learn_by_method("pca", descriptors, shrinkage=0.5)

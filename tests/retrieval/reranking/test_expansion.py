"""Query expansion and database augmentation, compared with loops."""

import numpy as np
import pytest

from agem_tf.errors import UserError
from agem_tf.retrieval.reranking import (
    DatabaseAugmentation,
    QueryExpansion,
    rerank,
)


def _expand_by_loop(vector, similar, num_neighbours, alpha):
    """`similar` are (similarity, vector) pairs without the vector itself."""
    total = vector.copy()
    similar = sorted(similar, key=lambda pair: -pair[0])
    for similarity, other in similar[:num_neighbours]:
        weight = 1 if alpha == 0 else max(similarity, 0) ** alpha
        total = total + weight * other
    return total / np.sqrt(sum(total * total))


@pytest.mark.parametrize("alpha", [0, 1, 2.5])
@pytest.mark.parametrize("num_neighbours", [1, 7, 70, 100])
def test_queries_equal_a_loop(descriptors, num_neighbours, alpha):
    queries, database = descriptors
    step = QueryExpansion(num_neighbours, alpha)
    expanded = step.expanded(queries, database)
    assert step.augmented(database) is database
    for query, actual in zip(queries, expanded, strict=True):
        similar = [(query @ photo, photo) for photo in database]
        expected = _expand_by_loop(query, similar, num_neighbours, alpha)
        np.testing.assert_allclose(actual, expected, atol=2e-6)


@pytest.mark.parametrize("alpha", [0, 1, 2.5])
@pytest.mark.parametrize("num_neighbours", [1, 7, 69, 100])
def test_photos_equal_a_loop(descriptors, num_neighbours, alpha):
    queries, database = descriptors
    step = DatabaseAugmentation(num_neighbours, alpha)
    augmented = step.augmented(database)
    assert step.expanded(queries, database) is queries
    for index, actual in enumerate(augmented):
        photo = database[index]
        similar = [
            (photo @ other, other)
            for place, other in enumerate(database)
            if place != index
        ]
        expected = _expand_by_loop(photo, similar, num_neighbours, alpha)
        np.testing.assert_allclose(actual, expected, atol=2e-6)


def test_a_photo_with_copies_counts_itself_once():
    """The third of three equal photos is not among its own two nearest."""
    database = np.array([[1.0, 0], [1, 0], [1, 0], [0.6, 0.8]])
    augmented = DatabaseAugmentation(1, 0).augmented(database)
    np.testing.assert_allclose(augmented[:3], database[:3], atol=1e-6)
    expected = np.array([1.6, 0.8]) / np.hypot(1.6, 0.8)
    np.testing.assert_allclose(augmented[3], expected, atol=1e-6)


def test_opposite_photos_have_no_weight():
    queries, database = np.array([[1.0, 0]]), np.array([[-1.0, 0], [0, 1]])
    expanded = QueryExpansion(2, 0.5).expanded(queries, database)
    np.testing.assert_allclose(expanded, queries, atol=1e-6)


def test_a_single_photo_is_unchanged():
    database = np.array([[0.6, 0.8]])
    augmented = DatabaseAugmentation().augmented(database)
    np.testing.assert_allclose(augmented, database, atol=1e-6)


def test_a_memory_map_is_augmented(tmp_path, descriptors):
    database = descriptors[1].astype(np.float32)
    np.save(tmp_path / "database.npy", database)
    mapped = np.load(tmp_path / "database.npy", mmap_mode="r")
    expected = DatabaseAugmentation().augmented(database)
    actual = DatabaseAugmentation().augmented(mapped)
    np.testing.assert_allclose(actual, expected, atol=1e-6)


@pytest.mark.parametrize("kind", [QueryExpansion, DatabaseAugmentation])
def test_invalid_arguments_are_refused(kind):
    with pytest.raises(ValueError, match="num_neighbours=0"):
        kind(0)
    for alpha in (-1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"alpha={alpha}"):
            kind(5, alpha)


@pytest.mark.parametrize("kind", [QueryExpansion, DatabaseAugmentation])
def test_nan_descriptors_are_refused(kind, descriptors):
    queries, database = descriptors
    database[3, 4] = np.nan
    with pytest.raises(UserError, match="NaN"):
        rerank(queries, database, [kind()])

"""Exact indexes."""

import numpy as np

from agem_tf.retrieval.indexes import ExactIndex


def test_half_precision_stays_half_until_single_is_added(
    tmp_path, names, descriptors
):
    half, mixed = tmp_path / "half", tmp_path / "mixed"
    half.mkdir()
    mixed.mkdir()
    index = ExactIndex(16)
    index.add(names[:9], descriptors[:9].astype(np.float16))
    index.save(half)
    assert np.load(half / "descriptors.npy").dtype == np.float16
    index = ExactIndex.load(half, 16)
    index.add(names[9:12], descriptors[9:12])
    index.save(mixed)
    rows = np.load(mixed / "descriptors.npy")
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, descriptors[:12], atol=1e-3)
    np.testing.assert_array_equal(rows[9:], descriptors[9:12])


def test_photos_of_equal_similarity_keep_their_order(descriptors):
    index = ExactIndex(16)
    index.add(["b", "a"], descriptors[[0, 0]])
    index.add(["c", "d"], descriptors[[0, 9]])
    index.remove(["a"])
    (matches,) = index.search(descriptors[:1], 3)
    assert [match.name for match in matches] == ["b", "c", "d"]

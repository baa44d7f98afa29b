"""Linear whitening: applied, saved and loaded."""

import numpy as np
import pytest

from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.descriptors.linear_whitening import LinearWhitening
from agem_tf.errors import UserError
from agem_tf.files.manifest import write_manifest

_PROVENANCE = {"model": "a1b2", "scales": [1.0, 0.5], "split": "train"}


@pytest.fixture
def whitening():
    rng = np.random.default_rng(1)
    mean, projection = rng.normal(size=4), rng.normal(size=(3, 4))
    return LinearWhitening(mean, projection, "learned", _PROVENANCE)


@pytest.fixture
def descriptors():
    rng = np.random.default_rng(2)
    return rng.normal(size=(5, 4)).astype(np.float32)


@pytest.mark.parametrize("dimension", [2, 3, None])
def test_apply_is_projection_then_unit_length(
    whitening, descriptors, dimension
):
    actual = whitening.apply(descriptors, dimension)
    expected = []
    for row in descriptors:
        y = whitening.projection[:dimension] @ (row - whitening.mean)
        expected.append(y / np.linalg.norm(y))
    assert actual.dtype == np.float32
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_apply_to_keeps_names_and_marks_the_result(whitening, descriptors):
    provenance = _PROVENANCE | {"split": "test"}
    plain = DescriptorSet(list("abcde"), descriptors, provenance)
    whitened = whitening.apply_to(plain, dimension=2)
    assert whitened.names == plain.names
    assert whitened.provenance["split"] == "test"
    np.testing.assert_array_equal(
        whitened.descriptors, whitening.apply(descriptors, 2)
    )
    with pytest.raises(UserError, match="differ in whitening"):
        whitening.apply_to(whitened)


def test_many_rows_are_mapped_from_a_file_of_the_same_values(
    whitening, monkeypatch
):
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(5000, 4)).astype(np.float16)
    expected = whitening.apply(rows, 2)
    monkeypatch.setattr("agem_tf.files.rows._MEMORY", 5000 * 2 * 4 - 1)
    whitened = whitening.apply_to(
        DescriptorSet([f"{i}" for i in range(5000)], rows, _PROVENANCE), 2
    )
    assert isinstance(whitened.descriptors, np.memmap)
    np.testing.assert_array_equal(whitened.descriptors, expected)


def test_descriptors_of_another_model_are_refused(whitening, descriptors):
    other = DescriptorSet(
        list("abcde"), descriptors, _PROVENANCE | {"model": "c3d4"}
    )
    with pytest.raises(UserError, match="differ in model"):
        whitening.apply_to(other)


def test_dimensions_that_do_not_fit_are_refused(whitening, descriptors):
    with pytest.raises(UserError, match="4 dimensions"):
        whitening.apply(descriptors[:, :3])
    with pytest.raises(UserError, match="1 to 3 dimensions"):
        whitening.apply(descriptors, dimension=4)
    with pytest.raises(ValueError, match="projection"):
        LinearWhitening(np.zeros(3), np.zeros((3, 4)), "pca")
    with pytest.raises(ValueError, match="kind='zca'"):
        LinearWhitening(np.zeros(4), np.zeros((3, 4)), "zca")


def test_a_saved_whitening_is_read_back(tmp_path, whitening):
    whitening.save(tmp_path / "whitening")
    loaded = LinearWhitening.load(tmp_path / "whitening", verify=True)
    np.testing.assert_array_equal(loaded.mean, whitening.mean)
    np.testing.assert_array_equal(loaded.projection, whitening.projection)
    assert loaded.kind == "learned"
    assert loaded.provenance == _PROVENANCE
    assert loaded.fingerprint == whitening.fingerprint


def test_damaged_arrays_are_named(tmp_path, whitening, reseal):
    whitening.save(tmp_path / "whitening")
    path = tmp_path / "whitening" / "whitening.npz"
    path.write_bytes(b"PK\x03\x04".ljust(path.stat().st_size, b"x"))
    reseal(tmp_path / "whitening")
    with pytest.raises(UserError, match=r"whitening\.npz.*learn"):
        LinearWhitening.load(tmp_path / "whitening")


@pytest.mark.parametrize(
    "mean",
    [
        np.full(4, np.nan),
        np.full(4, np.inf),
        np.ones(4, complex),
        np.zeros(4, [("a", "f8")]),
        np.array(list("abcd")),
    ],
)
def test_anything_but_finite_numbers_is_refused(tmp_path, whitening, mean):
    with pytest.raises(ValueError, match="`mean` must hold finite real"):
        LinearWhitening(mean, whitening.projection, "pca")
    whitening.save(tmp_path / "whitening")
    np.savez(
        tmp_path / "whitening" / "whitening.npz",
        mean=mean,
        projection=whitening.projection,
    )
    write_manifest(
        tmp_path / "whitening", "whitening", method="pca", provenance={}
    )
    with pytest.raises(UserError, match=r"whitening\.npz.*learn"):
        LinearWhitening.load(tmp_path / "whitening")


def test_a_label_depends_on_the_dimension(whitening, descriptors):
    raw = DescriptorSet(list("abcde"), descriptors, _PROVENANCE)
    labels = [
        whitening.apply_to(raw, dimension).provenance["whitening"]
        for dimension in (None, 2)
    ]
    assert labels == [whitening.label(), whitening.label(2)]
    assert labels[0] == whitening.label(3) != labels[1]
    with pytest.raises(UserError, match="1 to 3 dimensions"):
        whitening.label(0)

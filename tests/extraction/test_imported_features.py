"""Local features of other software, from .npz files."""

import numpy as np
import pytest

from agem_tf import extract
from agem_tf.errors import UserError


def arrays(count=4, dimension=3, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "keypoints": rng.uniform(0, 50, (count, 2)),
        "descriptors": rng.integers(1, 255, (count, dimension), np.uint8),
        "scores": rng.uniform(size=count),
        "scales": np.ones(count),
        "size": np.array([60, 80]),
    }


def save(folder, name, values):
    path = folder / f"{name}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **values)


def run(folder):
    return extract.main(
        extract.ImportFeaturesOptions(
            npz=str(folder / "in"), output=str(folder / "out"), origin="lift"
        )
    )


def test_files_become_a_set_by_the_names_of_the_photos(tmp_path, capsys):
    first, second = arrays(), arrays(0)
    save(tmp_path / "in", "place/a.jpg", first)
    save(tmp_path / "in", "b.png", second)
    found = run(tmp_path)
    assert sorted(found.names) == ["b.png", "place/a.jpg"]
    photo = found["place/a.jpg"]
    assert photo.size == (60, 80) and len(found["b.png"]) == 0
    np.testing.assert_allclose(photo.keypoints, first["keypoints"], rtol=1e-6)
    rows = first["descriptors"].astype(float)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    np.testing.assert_allclose(photo.descriptors, rows, atol=1e-3)
    assert found.provenance["model"] == "lift"
    assert "1 photo(s) without a feature" in capsys.readouterr().out


@pytest.mark.parametrize("factor", [1e38, 1e-38])
def test_descriptors_of_any_length_are_normalized(tmp_path, factor):
    """Squares of these values are no float32."""
    values = arrays()
    rows = np.array([[0.6, 0.8, 0]] * 3 + [[0, 0, 0]]) * factor
    values["descriptors"] = rows.astype(np.float32)
    save(tmp_path / "in", "a.jpg", values)
    found = run(tmp_path)["a.jpg"].descriptors
    np.testing.assert_allclose(found[:3], [[0.6, 0.8, 0]] * 3, atol=1e-3)
    np.testing.assert_array_equal(found[3], [0, 0, 0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scores": np.array([1, 2, np.nan, 4])}, "scores .* NaN"),
        ({"keypoints": np.zeros((4, 3))}, "keypoints"),
        ({"descriptors": np.ones((4, 5))}, "dimensions"),
        ({"descriptors": np.ones((4, 0))}, "d at least 1"),
        ({"scales": np.array([1, 2, 0, 4])}, "positive"),
        ({"scales": -np.ones(4)}, "positive"),
        ({"size": np.array([1, 2, 3])}, "height and width"),
        ({"size": np.array([60, np.nan])}, "height and width"),
        ({"size": np.array([-60, 80])}, "height and width"),
        ({"size": np.array([0.5, 80])}, "height and width"),
        ({"scores": np.array(["1", "2", "3", "x"])}, "not texts"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, changes, message):
    save(tmp_path / "in", "a.jpg", arrays())
    save(tmp_path / "in", "b.jpg", arrays() | changes)
    with pytest.raises(
        UserError, match=rf"(?s)b\.jpg\.npz.*{message}|{message}.*b\.jpg\.npz"
    ):
        run(tmp_path)


def test_a_missing_array_and_an_empty_folder_are_refused(tmp_path):
    with pytest.raises(UserError, match="No .npz file"):
        run(tmp_path)
    values = arrays()
    del values["scales"]
    save(tmp_path / "in", "a.jpg", values)
    with pytest.raises(UserError, match=r"a\.jpg\.npz is not readable"):
        run(tmp_path)

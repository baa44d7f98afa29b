"""Local features are written photo by photo and read back by name."""

import numpy as np
import pytest

from agem_tf.descriptors.local_features import (
    LocalFeatures,
    LocalFeatureSet,
    LocalFeatureWriter,
)
from agem_tf.errors import UserError

COUNTS = {"a.jpg": 5, "empty.jpg": 0, "b/c.jpg": 3}
PROVENANCE = {"model": "m", "image": {"size": 64}}


def features_of(name):
    rng = np.random.default_rng(len(name))
    count = COUNTS[name]
    return LocalFeatures(
        rng.uniform(0, 4000, (count, 2)),
        rng.normal(0, 0.3, (count, 7)),
        rng.random(count),
        1 + rng.random(count),
        (3000, 4000),
    )


def write_set(directory, names=tuple(COUNTS), **settings):
    with LocalFeatureWriter(
        directory, names, 7, PROVENANCE, **settings
    ) as writer:
        for name in names[writer.photos_written :]:
            writer.write(features_of(name))


def test_features_are_read_by_name(tmp_path):
    write_set(tmp_path / "set")
    found = LocalFeatureSet.load(tmp_path / "set", verify=True)
    assert (found.names, found.dimension) == (list(COUNTS), 7)
    assert found.provenance == PROVENANCE
    for name in COUNTS:
        written, read = features_of(name), found[name]
        np.testing.assert_array_equal(read.keypoints, written.keypoints)
        np.testing.assert_array_equal(read.scores, written.scores)
        np.testing.assert_array_equal(read.scales, written.scales)
        np.testing.assert_allclose(
            read.descriptors, written.descriptors, atol=1e-3
        )
        assert read.size == (3000, 4000)
    # 8 features of 2 * 7 + 16 bytes, and 3 photos.
    assert found.bytes_per_photo == pytest.approx((8 * 30 + 3 * 24 + 8) / 3)


def test_an_interrupted_set_is_resumed_at_its_photo(tmp_path):
    names = list(COUNTS)
    with pytest.raises(KeyboardInterrupt):
        with LocalFeatureWriter(
            tmp_path / "set", names, 7, PROVENANCE, resume=True
        ) as writer:
            for name in names[:2]:
                writer.write(features_of(name))
            raise KeyboardInterrupt
    with LocalFeatureWriter(
        tmp_path / "set", names, 7, PROVENANCE, resume=True
    ) as writer:
        assert writer.photos_written == 2
        writer.write(features_of(names[2]))
    found = LocalFeatureSet.load(tmp_path / "set", verify=True)
    assert [len(found[name]) for name in names] == [5, 0, 3]
    np.testing.assert_array_equal(
        found["b/c.jpg"].scores, features_of("b/c.jpg").scores
    )


def test_the_strongest_features_come_first():
    features = features_of("a.jpg").strongest(2)
    assert len(features) == 2
    assert features.scores[0] >= features.scores[1]
    assert features.scores[1] >= np.sort(features_of("a.jpg").scores)[-2]


@pytest.mark.parametrize(
    "field, value",
    [
        ("scores", np.array([np.nan, 1])),
        ("keypoints", np.array([[0, np.inf], [1, 1]])),
        ("descriptors", np.full((2, 3), np.nan)),
        ("scales", np.ones(3)),
        ("scales", np.array([1, 0])),
        ("scales", np.array([1, -1])),
        ("descriptors", np.ones((2, 0))),
        ("keypoints", np.ones((2, 3))),
        ("size", (0, 6)),
        ("size", (5, -1)),
    ],
)
def test_bad_features_are_refused(field, value):
    arrays = {
        "keypoints": np.ones((2, 2)),
        "descriptors": np.ones((2, 3)),
        "scores": np.ones(2),
        "scales": np.ones(2),
        "size": (5, 6),
    }
    LocalFeatures(**arrays)
    message = "height and width" if field == "size" else field
    with pytest.raises(UserError, match=message):
        LocalFeatures(**arrays | {field: value})


def test_a_descriptor_too_large_for_half_precision_names_its_photo(tmp_path):
    with LocalFeatureWriter(tmp_path / "set", ["a.jpg"], 1) as writer:
        large = LocalFeatures([[0, 0]], [[1e6]], [1], [1], (5, 6))
        with pytest.raises(UserError, match="a.jpg"):
            writer.write(large)
        writer.write(LocalFeatures.none(1, (5, 6)))


def test_a_damaged_store_is_one_sentence(tmp_path, reseal):
    with pytest.raises(UserError, match="does not exist"):
        LocalFeatureSet.load(tmp_path / "none")
    write_set(tmp_path / "set")
    path = tmp_path / "set" / "photos.npy"
    photos = np.load(path)
    photos[0, 0] += 1
    np.save(path, photos)
    with pytest.raises(UserError, match="checksum"):
        LocalFeatureSet.load(tmp_path / "set", verify=True)
    reseal(tmp_path / "set")
    with pytest.raises(UserError, match="do not belong together"):
        LocalFeatureSet.load(tmp_path / "set")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match="bytes instead of"):
        LocalFeatureSet.load(tmp_path / "set")


@pytest.mark.parametrize(
    ("file", "forge"),
    [
        ("photos.npy", lambda photos: photos * [1, 0, 1]),
        # Their sum is that of the rows, modulo 2 ** 64.
        (
            "photos.npy",
            lambda photos: np.column_stack(
                [[2**63 - 1, 2**63 - 1, 10], photos[:, 1:]]
            ),
        ),
        ("descriptors.npy", lambda descriptors: descriptors[:, :0]),
    ],
    ids=["no pixels", "overflow", "no dimension"],
)
def test_a_forged_store_is_one_sentence(tmp_path, reseal, file, forge):
    write_set(tmp_path / "set")
    path = tmp_path / "set" / file
    np.save(path, forge(np.load(path)))
    reseal(tmp_path / "set")
    with pytest.raises(UserError, match="set do not belong together"):
        LocalFeatureSet.load(tmp_path / "set")


def test_a_store_with_nan_is_named_with_its_photo(tmp_path, reseal):
    write_set(tmp_path / "set")
    path = tmp_path / "set" / "descriptors.npy"
    descriptors = np.load(path)
    descriptors[0] = np.nan
    np.save(path, descriptors)
    reseal(tmp_path / "set")
    found = LocalFeatureSet.load(tmp_path / "set")
    found["b/c.jpg"]
    with pytest.raises(UserError, match="set, 'a.jpg': descriptors of local"):
        found["a.jpg"]
    with pytest.raises(UserError, match="set hold NaN"):
        found.sample_descriptors(100)


def test_repeated_and_unknown_names_are_named(tmp_path):
    with pytest.raises(UserError, match="its own"):
        LocalFeatureWriter(tmp_path / "set", ["a", "a"], 7)
    write_set(tmp_path / "set")
    found = LocalFeatureSet.load(tmp_path / "set")
    assert "other.jpg" not in found
    with pytest.raises(UserError, match="'other.jpg'"):
        found["other.jpg"]

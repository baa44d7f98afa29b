"""The embedded dataset is the same everywhere and knows its answers."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from agem_tf.datasets.preparation import prepare
from agem_tf.errors import UserError
from agem_tf.pages.photo_sources import load_photo

SIZES = {"train_landmarks": 1, "validation_landmarks": 1, "test_landmarks": 2}
OPTIONS = SIZES | {
    "photos_per_landmark": 3,
    "queries_per_landmark": 2,
    "image_size": 64,
    "seed": 5,
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    directory = tmp_path_factory.mktemp("synthetic") / "data"
    return prepare("synthetic_landmarks", directory, OPTIONS)


def test_counts(prepared):
    counts = {
        split: (facts["photos"], facts["landmarks"])
        for split, facts in prepared.manifest["splits"].items()
    }
    assert counts == {"train": (3, 1), "validation": (3, 1), "test": (6, 2)}


def test_the_same_seed_gives_the_same_files(prepared, tmp_path):
    again = prepare("synthetic_landmarks", tmp_path / "data", OPTIONS)
    assert again.fingerprint == prepared.fingerprint


def test_another_seed_gives_other_photos(prepared, tmp_path):
    other = prepare(
        "synthetic_landmarks", tmp_path / "data", OPTIONS | {"seed": 6}
    )
    name = prepared.split("test").names[0]
    photos = [
        np.asarray(load_photo(split, split.names.index(name)), int)
        for split in (prepared.split("test"), other.split("test"))
    ]
    assert np.abs(photos[0] - photos[1]).mean() > 5


def test_the_scene_can_have_more_clutter(prepared, tmp_path):
    crowded = prepare(
        "synthetic_landmarks",
        tmp_path / "data",
        OPTIONS | {"scene": {"mean_trees": 9.0, "foreground_share": 1.0}},
    )
    visible = [
        [float(_feature(split, i, "visible_fraction")) for i in range(3)]
        for split in (prepared.split("train"), crowded.split("train"))
    ]
    assert np.mean(visible[1]) < np.mean(visible[0])


def _feature(split, photo, name):
    example = tf.train.Example.FromString(split.read(photo))
    return example.features.feature[name].float_list.value[0]


def test_ground_truth_is_of_the_query_s_landmark(prepared):
    truth, split = prepared.ground_truth("test"), prepared.split("test")
    label = dict(zip(split.names, split.labels, strict=True))
    assert 1 <= len(truth.queries) <= 4
    for name, query in zip(truth.query_names, truth.queries, strict=True):
        related = np.concatenate([query.easy, query.hard, query.junk])
        assert len(related) == 3
        assert {label[truth.database_names[i]] for i in related} == {
            label[name]
        }
        assert truth.database_names.index(name) in query.junk
        assert query.box == pytest.approx(
            split.boxes[split.names.index(name)], abs=1e-3
        )


def test_records_keep_the_homography(prepared):
    builder = tfds.builder_from_directory(prepared.directory / "records")
    for example in tfds.as_numpy(builder.as_dataset(split="test")):
        homography = example["homography"]
        assert homography.shape == (3, 3)
        assert abs(np.linalg.det(homography)) > 1e-9
        assert 0 <= example["visible_fraction"] <= 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"photos_per_landmark": 1}, "photos_per_landmark"),
        ({"image_size": 8}, "image_size"),
        ({"scene": {"trees": 3}}, "unknown fields: trees"),
        (dict.fromkeys(SIZES, 0), "at least one landmark"),
        ({"test_landmarks": -1}, "test_landmarks"),
        ({"seed": 0.5}, "seed"),
    ],
)
def test_impossible_numbers_are_refused(tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        prepare("synthetic_landmarks", tmp_path / "data", OPTIONS | options)

"""Local features: where they are, which are kept, and how they are stored."""

import dataclasses

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from agem_tf.config import ImageConfig
from agem_tf.datasets.preparation import prepare
from agem_tf.descriptors.local_features import LocalFeatureSet
from agem_tf.extraction.local_extractor import (
    DelfExtractor,
    Selection,
)
from agem_tf.extraction.local_feature_writing import write_local_features
from agem_tf.extraction.local_pyramid import LocalPyramid
from agem_tf.models import DELF
from agem_tf.photos import limits

IMAGE = ImageConfig(size=96)


@pytest.fixture(scope="module")
def model():
    return DELF("vgg16", feature_map="C2", pooling_options={"filters": 8})


def noise(height, width, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 255, (height, width, 3), np.uint8)


def test_boxes_are_receptive_fields_in_pixels_of_the_photo(model):
    """Seven 3x3 convolutions and two poolings see 40 pixels, 18 before.

    At half the size, a pixel covers two of the photo: 0 covers 0 and 1.
    """
    images = tf.cast(noise(40, 60)[None], tf.float32)
    maps = LocalPyramid(model).maps(images, (1.0, 0.5), (40, 60))
    whole, half = maps.boxes[: 10 * 15].numpy(), maps.boxes[10 * 15 :].numpy()
    assert len(half) == 5 * 7 and maps.features.shape == (1, 185, 256)
    np.testing.assert_allclose(whole[0], [-18, -18, 21, 21])
    np.testing.assert_allclose(whole[15 * 2 + 3], [-10, -6, 29, 33])
    np.testing.assert_allclose(half[0], [-35.5, -35.5, 42.5, 42.5])
    np.testing.assert_allclose(half[7 * 2 + 3], [-19.5, -11.5, 58.5, 66.5])
    np.testing.assert_allclose(maps.scales.numpy()[[0, -1]], [1, 2])


def scores_by_place(features):
    """Scores in the order of scales and places, which rounding can't change."""
    places = np.round([*features.keypoints.T, features.scales], 2)
    return features.scores[np.lexsort(places)]


def test_a_batch_gives_the_features_of_its_photos_alone(model):
    extractor = DelfExtractor(model, IMAGE, (0.5, 1.0), Selection(9999))
    photos = [
        noise(*size, seed)
        for seed, size in enumerate(
            [(50, 70), (130, 90), (50, 70), (9, 70), (1, 1), (12, 11)]
        )
    ]
    together = extractor.features(photos)
    assert [len(each) > 0 for each in together] == [1, 1, 1, 0, 0, 1]
    for photo, found in zip(photos, together, strict=True):
        (alone,) = extractor.features([photo])
        assert found.size == photo.shape[:2]
        np.testing.assert_allclose(
            scores_by_place(found), scores_by_place(alone), rtol=1e-3
        )
    # The longer side of 130 became 96.
    np.testing.assert_allclose(
        np.unique(together[1].scales), [130 / 96, 2 * 130 / 96], rtol=1e-5
    )


def test_thresholds_keep_the_best_features_apart(model):
    photo = noise(60, 80)
    (every,) = DelfExtractor(model, IMAGE, (1.0,)).features([photo])
    middle = float(np.median(every.scores))
    selection = Selection(1000, middle)
    (best,) = DelfExtractor(model, IMAGE, (1.0,), selection).features([photo])
    np.testing.assert_array_equal(
        best.scores, every.scores[every.scores >= middle]
    )
    selection = dataclasses.replace(selection, iou=0.0)
    (apart,) = DelfExtractor(model, IMAGE, (1.0,), selection).features([photo])
    assert 1 < len(apart) < len(best)
    distances = np.abs(apart.keypoints[:, None] - apart.keypoints).max(-1)
    assert distances[~np.eye(len(apart), dtype=bool)].min() >= 38.9


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    root = tmp_path_factory.mktemp("photos")
    for number in range(4):
        place = root / "photos" / f"place{number % 2}"
        place.mkdir(parents=True, exist_ok=True)
        photo = PIL.Image.fromarray(noise(72 + number % 2, 80, number))
        photo.save(place / f"{number}.jpg")
    (root / "photos" / "place0" / "tiny.png").write_bytes(b"")
    PIL.Image.fromarray(noise(1, 1)).save(root / "photos/place0/tiny.png")
    return prepare(
        "photo_folder", root / "data", {"source": str(root / "photos")}
    ).split("train")


@pytest.fixture
def extractor(model):
    return DelfExtractor(model, IMAGE, (1.0,), Selection(7))


class Stopped(Exception):
    pass


def test_a_stopped_extraction_resumes_where_it_was(
    split, extractor, tmp_path, monkeypatch
):
    monkeypatch.setattr("agem_tf.extraction.local_feature_writing.UNIT", 2)
    whole = write_local_features(extractor, tmp_path / "whole", split)
    features, calls = extractor.features, []

    def stop_in_the_second(photos):
        calls.append(len(photos))
        if len(calls) == 2:
            raise Stopped
        return features(photos)

    extractor.features = stop_in_the_second
    with pytest.raises(Stopped):
        write_local_features(extractor, tmp_path / "stopped", split)
    assert not (tmp_path / "stopped").exists()
    resumed = write_local_features(extractor, tmp_path / "stopped", split)
    assert calls == [2, 2, 2, 1]
    for file in ("places.npy", "descriptors.npy", "photos.npy"):
        assert (tmp_path / "stopped" / file).read_bytes() == (
            tmp_path / "whole" / file
        ).read_bytes()
    assert resumed.names == whole.names == split.names
    assert len(whole[next(n for n in split.names if "tiny" in n)]) == 0
    write_local_features(extractor, tmp_path / "whole", split)
    assert len(calls) == 4  # A finished set is kept.


def test_features_of_a_box_have_places_in_the_whole_photo(
    split, extractor, tmp_path
):
    photos = [i for i, name in enumerate(split.names) if "tiny" not in name]
    names = [split.names[photo] for photo in photos]
    boxes = np.zeros_like(split.boxes)
    boxes[photos[0]] = [20, 10, 50, 40]
    cropped = write_local_features(
        extractor,
        tmp_path / "queries",
        dataclasses.replace(split, boxes=boxes),
        names[:2],
        crop=True,
    )
    loaded = LocalFeatureSet.load(tmp_path / "queries", verify=True)
    inside, whole = (loaded[name] for name in names[:2])
    assert len(cropped) == 2 and inside.size[1] == 80
    assert (inside.keypoints >= [19.5, 9.5]).all()
    assert (inside.keypoints <= [50, 40]).all()
    plain = write_local_features(extractor, tmp_path / "all", split, names[:2])
    np.testing.assert_allclose(whole.scores, plain[names[1]].scores, rtol=1e-4)
    assert len(inside) == len(plain[names[0]]) == 7


def test_features_of_a_halved_jpeg_are_those_of_the_photo(
    split, extractor, tmp_path, monkeypatch
):
    """A JPEG of more than 100 megapixels is decoded at half its sides."""
    name = next(name for name in split.names if name.endswith(".jpg"))
    monkeypatch.setattr(limits, "MAX_PIXELS", 1000)
    found = write_local_features(extractor, tmp_path / "large", split, [name])
    features = found[name]
    height, width = split.sizes[split.find([name])[0]]
    assert features.size == (height, width)
    # Every fourth decoded pixel is every eighth of the photo.
    corner = (features.keypoints + 0.5) % 8
    np.testing.assert_allclose(corner, np.full_like(corner, corner[0, 0]))
    assert features.keypoints.max() > 42
    np.testing.assert_allclose(features.scales, 2)

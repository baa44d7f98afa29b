"""Photos come in the order asked for, with the size of their valid part."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from agem_tf.config import AugmentationConfig, ImageConfig
from agem_tf.datasets.photo_pipeline import PhotoPipeline
from agem_tf.datasets.preparation import prepare
from agem_tf.errors import UserError


@pytest.fixture
def split(photo_folder, tmp_path):
    prepared = prepare(
        "photo_folder",
        tmp_path / "data",
        {"source": str(photo_folder), "validation": 0.0, "test": 0.0},
    )
    return prepared.split("train")


def test_order_and_shapes(split):
    pipeline = PhotoPipeline(split, ImageConfig(size=50, resize="aspect"))
    indices = np.array([5, 0, 17, 5])
    elements = list(pipeline.photos(indices).as_numpy_iterator())
    assert all(element["image"].shape == (50, 50, 3) for element in elements)
    np.testing.assert_array_equal(elements[0]["image"], elements[3]["image"])
    for index, element in zip(indices, elements, strict=True):
        # The PGM photos of 30 x 20 pixels are only raised to the least side.
        small = split.names[index].endswith(".pgm")
        assert element["valid"].tolist() == ([32, 32] if small else [36, 48])


def test_tuples_are_batches_of_equal_length(split):
    pipeline = PhotoPipeline(split, ImageConfig(size=32))
    indices = np.arange(15).reshape(5, 3)
    batches = list(pipeline.tuples(indices, 2).as_numpy_iterator())
    assert [batch["image"].shape for batch in batches] == [
        (2, 3, 32, 32, 3)
    ] * 2
    photos = list(pipeline.photos(np.arange(12)).as_numpy_iterator())
    np.testing.assert_array_equal(batches[1]["image"][0, 2], photos[8]["image"])


def test_augmented_tuples_depend_on_seed_photo_and_query_only(split):
    indices = np.array([[0, 3], [1, 3], [2, 4], [0, 3]])

    def images(rows, seed=(7, 1)):
        augmentation = AugmentationConfig(crop=0.5, noise=30.0)
        image = ImageConfig(size=40, resize="aspect")
        pipeline = PhotoPipeline(split, image, augmentation, seed)
        batches = pipeline.tuples(rows, 1).as_numpy_iterator()
        return np.stack([batch["image"][0] for batch in batches])

    whole = images(indices)
    # One of two workers reads every other row.
    np.testing.assert_array_equal(images(indices[1::2]), whole[1::2])
    np.testing.assert_array_equal(whole[3], whole[0])
    assert not np.array_equal(whole[0, 1], whole[1, 1])
    assert not np.array_equal(images(indices, (7, 2)), whole)


def test_a_corrupt_record_is_named(split):
    path = split.store._paths[int(split.files[3])]
    content = bytearray(path.read_bytes())
    content[int(split.offsets[3]) + 40] ^= 1
    path.write_bytes(content)
    pipeline = PhotoPipeline(split, ImageConfig(size=32))
    with pytest.raises(UserError, match="is corrupt"), pipeline.errors_named():
        list(pipeline.photos(np.arange(len(split))))


class BrokenPhotos:
    """Stands in for a store: sound records whose photos are not."""

    def __init__(self, store, offset):
        self._store, self._offset = store, offset

    def read(self, file, offset):
        serialized = self._store.read(file, offset)
        if offset != self._offset:
            return serialized
        example = tf.train.Example.FromString(serialized)
        photo = example.features.feature["image"].bytes_list
        photo.value[0] = photo.value[0][:60]
        return example.SerializeToString()


def test_a_photo_that_does_not_decode_is_named(split):
    store = BrokenPhotos(split.store, int(split.offsets[7]))
    pipeline = PhotoPipeline(
        dataclasses.replace(split, store=store), ImageConfig(size=32)
    )
    sentence = f"{split.names[7]} of split train does not decode"
    with pytest.raises(UserError, match=sentence), pipeline.errors_named():
        list(pipeline.tuples(np.arange(18).reshape(6, 3), 2))


def test_an_error_that_no_photo_caused_is_passed_on(split):
    pipeline = PhotoPipeline(split, ImageConfig(size=32))
    with (
        pytest.raises(tf.errors.InvalidArgumentError, match="not a photo's"),
        pipeline.errors_named(),
    ):
        list(pipeline.photos(np.arange(4)))
        tf.debugging.Assert(False, ["not a photo's"])

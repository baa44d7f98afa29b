"""Networks are told apart, and interrupted extraction goes on."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from agem_tf.config import ExtractionConfig, ImageConfig
from agem_tf.datasets.preparation import prepare
from agem_tf.errors import UserError
from agem_tf.extraction.extractor import Extractor
from agem_tf.extraction.identity import fingerprint, provenance
from agem_tf.extraction.pyramid import ScalePyramid, merge_scales
from agem_tf.files.portions import Portion
from agem_tf.files.provenance import check_same_provenance
from agem_tf.models import AGeM


@pytest.fixture(scope="module")
def mac():
    return AGeM(attention="none", pooling="mac")


def with_weights_of(model, **options):
    other = AGeM(attention="none", **options)
    other.set_weights(model.get_weights())
    return other


def test_equal_weights_of_another_pooling_are_another_network(mac):
    prints = {
        fingerprint(with_weights_of(mac, **options))
        for options in (
            {"pooling": "spoc"},
            {"pooling": "rmac"},
            {"pooling": "rmac", "pooling_options": {"levels": 2}},
            {"pooling": "mac", "regional": True},
        )
    }
    assert len(prints | {fingerprint(mac)}) == 5


def test_equal_networks_agree(mac):
    assert fingerprint(with_weights_of(mac, pooling="mac")) == fingerprint(mac)


def test_scales_are_merged_by_the_generalized_mean():
    # ((1 + 8) / 2) ** (1 / 3) and ((27 + 0) / 2) ** (1 / 3), normalized.
    merged = merge_scales([[[1.0, 3.0]], [[2.0, 0.0]]], 3.0)
    x, y = 4.5 ** (1 / 3), 13.5 ** (1 / 3)
    norm = (x * x + y * y) ** 0.5
    assert merged.numpy()[0] == pytest.approx([x / norm, y / norm], rel=1e-5)


def test_levels_have_the_sides_that_the_network_saw(mac):
    images = tf.zeros((2, 40, 50, 3))
    whole, half = ScalePyramid(mac, ImageConfig(), (1.0, 0.5)).levels(images)
    assert whole.sides.numpy().tolist() == [[40, 50]] * 2
    assert half.sides.numpy().tolist() == [[20, 25]] * 2
    padded = ImageConfig(64, "aspect", buckets=((64, 64),))
    valid = tf.constant([[40, 64], [64, 33]])
    pyramid = ScalePyramid(mac, padded, (1.0, 0.5))
    _, half = pyramid.levels(tf.zeros((2, 64, 64, 3)), valid)
    assert half.sides.numpy().tolist() == [[20, 32], [32, 16]]
    assert half.output.shape == (2, mac.dimension)


def test_small_scales_are_not_enlarged(mac):
    """A network that pads its convolutions takes images of any size."""
    image = tf.random.stateless_uniform((1, 40, 50, 3), (0, 1), 0, 255)
    small = tf.image.resize(image, (10, 12))
    pyramid = ScalePyramid(mac, ImageConfig(), (1.0, 0.25))
    np.testing.assert_allclose(
        pyramid.descriptors(image),
        merge_scales([mac(image), mac(small)], 1.0),
        atol=1e-5,
    )


def test_static_and_dynamic_shapes_are_resized_alike(mac):
    image = tf.random.stateless_uniform((2, 41, 61, 3), (0, 1), 0, 255)
    static = ScalePyramid(mac, ImageConfig(), (1.4142, 0.7))
    spec = tf.TensorSpec((None, None, None, 3))
    dynamic = tf.function(static.descriptors, input_signature=[spec])
    np.testing.assert_allclose(
        static.descriptors(image), dynamic(image), atol=1e-5
    )


def test_resizing_by_the_factor_is_another_and_equal_on_a_canvas(mac):
    image = tf.random.stateless_uniform((2, 41, 61, 3), (0, 1), 0, 255)
    aspect = ImageConfig(64, "aspect")
    canvas = ImageConfig(64, "aspect", buckets=((64, 64),))
    padded = tf.pad(image, [[0, 0], [0, 23], [0, 3], [0, 0]])
    extents = tf.constant([[41, 61]] * 2)
    found = {}
    for kind in ("sizes", "factor"):
        settings = {"scales": (0.7,), "resize_by": kind}
        alone = ScalePyramid(mac, aspect, **settings).levels(image)
        inside = ScalePyramid(mac, canvas, **settings).levels(padded, extents)
        found[kind] = alone[0].output.numpy()
        np.testing.assert_allclose(inside[0].output, found[kind], atol=1e-4)
        assert alone[0].sides.numpy().tolist() == [[28, 42]] * 2
    assert np.abs(found["factor"] - found["sizes"]).max() > 1e-3


def test_descriptors_of_the_two_ways_to_resize_are_not_compared(mac):
    made = [
        provenance(mac, ImageConfig(), ExtractionConfig(resize_by=kind))
        for kind in ("sizes", "factor")
    ]
    with pytest.raises(UserError, match="differ in resize_by"):
        check_same_provenance(*made)


class CountingStore:
    """A record store that knows how often it was read."""

    def __init__(self, store):
        self._store, self.reads = store, 0

    def read(self, file, offset):
        self.reads += 1
        return self._store.read(file, offset)


@pytest.fixture
def split(photo_folder, tmp_path):
    options = {"source": str(photo_folder), "test": 0.0, "validation": 0.0}
    return prepare("photo_folder", tmp_path / "data", options).split("train")


@pytest.fixture
def extractor():
    model = AGeM("vgg16", feature_map="C2", attention="none")
    return Extractor(
        model,
        ImageConfig(size=32),
        ExtractionConfig(batch_size=4),
        tf.distribute.get_strategy(),
    )


def test_extraction_goes_on_where_it_stopped(split, extractor, tmp_path):
    whole = extractor.write(tmp_path / "whole", split)
    record = split.store._paths[int(split.files[13])]
    content = record.read_bytes()
    position = int(split.offsets[13]) + 50
    damaged = bytes([content[position] ^ 1])
    record.write_bytes(content[:position] + damaged + content[position + 1 :])
    with pytest.raises(UserError, match="is corrupt"):
        extractor.write(tmp_path / "broken", split)
    assert not (tmp_path / "broken").exists()
    record.write_bytes(content)
    counting = CountingStore(split.store)
    rest = dataclasses.replace(split, store=counting)
    resumed = extractor.write(tmp_path / "broken", rest)
    # Of 18 photos, 12 were done; 6 are left, and 2 fill the last batch.
    assert counting.reads == 6 + 2
    assert resumed.names == whole.names
    np.testing.assert_array_equal(resumed.descriptors, whole.descriptors)
    assert not list(tmp_path.glob(".*"))


def test_portions_of_other_processes_make_the_same_set(
    split, extractor, tmp_path
):
    """18 photos in batches of 4; the second of three portions is missing."""
    whole = extractor.write(tmp_path / "whole", split)
    assert extractor.unit == 4
    portions = []
    for number in (1, 3):
        first, end = Portion(number, 3).borders(18, extractor.unit)
        portions.append(tmp_path / f"portion {number}")
        extractor.write(portions[-1], split, split.names[first:end])
    portions.append(tmp_path / "not there")
    counting = CountingStore(split.store)
    counted = dataclasses.replace(split, store=counting)
    joined = extractor.write(tmp_path / "joined", counted, portions=portions)
    assert counting.reads == 8
    assert joined.names == whole.names
    np.testing.assert_array_equal(joined.descriptors, whole.descriptors)
    # A join removes portions, so that those it can't use end it.
    other_model = dataclasses.replace(whole, provenance={"model": "other"})
    other_order = dataclasses.replace(whole, names=whole.names[::-1])
    for number, foreign in enumerate((other_model, other_order)):
        foreign.save(tmp_path / f"foreign {number}")
        with pytest.raises(UserError, match=f"foreign {number} was extracted"):
            extractor.write(
                tmp_path / "joined",
                split,
                portions=[tmp_path / f"foreign {number}"],
            )


def test_weights_that_are_not_finite_name_a_photo(split, extractor):
    weights = extractor._model.get_weights()
    extractor._model.set_weights([np.full_like(w, np.nan) for w in weights])
    with pytest.raises(UserError, match=f"'{split.names[0]}' holds NaN"):
        extractor.extract(split)


def test_buckets_give_the_same_descriptors_with_a_program_each(split):
    model = AGeM("vgg16", feature_map="C2", attention_placement=("C2",))

    def extractor(buckets):
        image = ImageConfig(48, "aspect", True, buckets=buckets)
        extraction = ExtractionConfig(scales=(1.0, 0.7), batch_size=4)
        strategy = tf.distribute.get_strategy()
        return Extractor(model, image, extraction, strategy)

    sizes = np.array([(20, 36), (48, 20), (34, 34)])
    boxes = np.zeros((len(split), 4), np.float32)
    boxes[:, 2:] = np.resize(sizes, (len(split), 2))
    boxed = dataclasses.replace(split, boxes=boxes)
    alone, in_buckets = extractor(()), extractor(((32, 64), (64, 32), (64, 64)))
    np.testing.assert_allclose(
        in_buckets.extract(boxed, crop=True),
        alone.extract(boxed, crop=True),
        atol=1e-5,
    )
    assert in_buckets._step.experimental_get_tracing_count() == 3
    assert in_buckets.provenance(split) == alone.provenance(split)


def test_photos_of_many_shapes_keep_their_order(split):
    model = AGeM("vgg16", feature_map="C2", attention="none")
    strategy = tf.distribute.get_strategy()
    image = ImageConfig(48, "aspect", enlarge=True)
    extractor = Extractor(
        model, image, ExtractionConfig(batch_size=4), strategy
    )
    boxes = np.zeros((len(split), 4), np.float32)
    sides = np.random.default_rng(0).integers(12, 40, (len(split), 2))
    boxes[:, 2:] = sides
    boxed = dataclasses.replace(split, boxes=boxes)
    together = extractor.extract(boxed, crop=True)
    for index in range(len(split)):
        alone = extractor.extract(boxed, np.array([index]), crop=True)
        np.testing.assert_allclose(
            together[index : index + 1], alone, atol=1e-5
        )

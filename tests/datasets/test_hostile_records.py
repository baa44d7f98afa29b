"""Records and indexes of strangers, whose checksums fit their contents."""

import io

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from agem_tf.config import ImageConfig
from agem_tf.datasets.photo_pipeline import PhotoPipeline
from agem_tf.datasets.preparation import prepare
from agem_tf.datasets.prepared import PreparedDataset
from agem_tf.datasets.records import RecordStore
from agem_tf.errors import UserError
from agem_tf.pages.photo_sources import photos_of_split


@pytest.fixture
def prepared(photo_folder, tmp_path):
    options = {"source": str(photo_folder), "test": 0.0, "validation": 0.0}
    return prepare("photo_folder", tmp_path / "data", options)


def png(width, height):
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (width, height)).save(buffer, "PNG")
    return buffer.getvalue()


def example(**features):
    return tf.train.Example(
        features=tf.train.Features(
            feature={
                name: tf.train.Feature(**{kind: {"value": values}})
                for name, (kind, values) in features.items()
            }
        )
    ).SerializeToString()


def jpeg_of_many_scans():
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (60, 40)).save(buffer, "JPEG", progressive=True)
    content = buffer.getvalue()
    start = content.index(b"\xff\xda")
    end = content.index(b"\xff", start + 2)
    return content[:start] + 100 * content[start:end] + content[start:]


PAYLOADS = {
    "empty": b"",
    "of another kind": b"\x0a\xff\xff\xff\x7fx",
    "nested": b"\x0a\x02\x0a\x00" * 5000,
    "no image": example(name=("bytes_list", [b"a"])),
    "numbers": example(image=("int64_list", [1, 2])),
    "no value": example(image=("bytes_list", [])),
    "two values": example(image=("bytes_list", [png(60, 40)] * 2)),
    "no bytes": example(image=("bytes_list", [b""])),
    "no photo": example(image=("bytes_list", [b"%!PS-Adobe-3.0 EPSF-3.0"])),
    "many scans": example(image=("bytes_list", [jpeg_of_many_scans()])),
    "half a photo": example(image=("bytes_list", [png(60, 40)[:60]])),
}


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_a_record_without_a_photo_is_named(prepared, payload, monkeypatch):
    split = prepared.split("train")
    monkeypatch.setattr(RecordStore, "read", lambda *_: payload)
    pipeline = PhotoPipeline(split, ImageConfig(size=32))
    with (
        pytest.raises(UserError, match=f"(photo|of) {split.names[2]} ") as e,
        pipeline.errors_named(),
    ):
        list(pipeline.photos(np.array([2])))
    assert "{{" not in str(e.value)
    assert photos_of_split(split)(split.names[2]) is None


def test_a_photo_of_other_sides_than_its_index_states_is_named(
    prepared, monkeypatch
):
    """Its canvas, chosen by the stated sides, can't hold it."""
    split = prepared.split("train")
    payload = example(image=("bytes_list", [png(20, 300)]))
    monkeypatch.setattr(RecordStore, "read", lambda *_: payload)
    pipeline = PhotoPipeline(split, ImageConfig(size=64, resize="aspect"))
    with (
        pytest.raises(UserError, match="is 20 x 300 pixels, not "),
        pipeline.errors_named(),
    ):
        list(pipeline.photos(np.array([0]), canvas=(48, 64)))


def test_a_photo_of_other_sides_is_named_though_its_canvas_holds_it(
    prepared, monkeypatch
):
    """Its query box, in pixels of the stated sides, would be another part."""
    split = prepared.split("train")
    payload = example(image=("bytes_list", [png(20, 30)]))
    monkeypatch.setattr(RecordStore, "read", lambda *_: payload)
    pipeline = PhotoPipeline(split, ImageConfig(size=64, resize="aspect"))
    for photos in (pipeline.photos, pipeline.whole_photos):
        with (
            pytest.raises(UserError, match="is 20 x 30 pixels, not "),
            pipeline.errors_named(),
        ):
            list(photos(np.array([0])))


def put(value):
    def change(array):
        array = array.copy()
        array[1] = value
        return array

    return change


CHANGES = {
    "boxes of no number": ("boxes", put(np.nan)),
    "boxes beyond any photo": ("boxes", put(1e30)),
    "boxes of three sides": ("boxes", lambda array: array[:, :3]),
    "sizes of nothing": ("sizes", put(0)),
    "sizes of fractions": ("sizes", lambda array: array * 1.5),
    "files that are not there": ("files", put(99)),
    "files before the first": ("files", put(-1)),
    "offsets before the first": ("offsets", put(-1)),
    "offsets as texts": ("offsets", lambda array: array.astype("U")),
    "labels beyond int32": ("labels", put(2**62)),
    "labels of one": ("labels", lambda array: array[:1]),
    "labels of no row": ("labels", lambda array: np.array(3)),
    "names of one": ("names", lambda array: array[:3]),
}


@pytest.mark.parametrize(("name", "change"), CHANGES.values(), ids=CHANGES)
def test_an_index_that_can_not_be_is_refused(prepared, reseal, name, change):
    path = prepared.directory / "index" / "train.npz"
    arrays = dict(np.load(path))
    np.savez(path, **arrays | {name: change(arrays[name])})
    reseal(prepared.directory)
    with pytest.raises(UserError, match=r"train\.npz .*--overwrite"):
        PreparedDataset(prepared.directory).split("train")


def test_a_failing_disk_is_a_damaged_record(prepared, monkeypatch):
    def fail(*_):
        raise OSError(5, "Input/output error")

    split = prepared.split("train")
    monkeypatch.setattr("os.pread", fail)
    with pytest.raises(UserError, match="corrupt: Input/output error"):
        split.read(0)

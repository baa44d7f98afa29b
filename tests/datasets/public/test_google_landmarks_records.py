"""Google Landmarks from the TFRecords of DELF's tools."""

import pytest
import tensorflow as tf

from agem_tf.errors import UserError

FILES = 2


def bytes_feature(value):
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def record(name, encoded, label=None):
    features = {
        "image/encoded": bytes_feature(encoded),
        "image/id": bytes_feature(name.encode()),
        "image/format": bytes_feature(b"JPEG"),
    }
    if label is not None:
        features["image/class/label"] = tf.train.Feature(
            int64_list=tf.train.Int64List(value=[label])
        )
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return example.SerializeToString()


@pytest.fixture
def source(tmp_path, write_photo):
    """Two files of two training photos each, and one of the test."""
    write_photo(tmp_path / "photo.jpg")
    encoded = (tmp_path / "photo.jpg").read_bytes()
    root = tmp_path / "source"
    root.mkdir()
    for file in range(FILES):
        path = root / f"train-{file:05d}-of-{FILES:05d}"
        with tf.io.TFRecordWriter(str(path)) as writer:
            writer.write(record(f"a{file}", encoded, 5))
            writer.write(record(f"b{file}", encoded, 6 + file))
    path = root / "test-00000-of-00001"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(record("c0", encoded))
    return root


def test_records_keep_their_photos_and_labels(source, prepare_public):
    prepared = prepare_public("google_landmarks_records")
    train = prepared.split("train")
    assert train.names == ["a0", "b0", "a1", "b1"]
    assert train.labels.tolist() == [5, 6, 5, 7]
    assert len(prepared.manifest["record_files"]) == FILES + 1
    assert prepared.split("test").labels.tolist() == [-1]
    assert "queries of ROxford5k" in "\n".join(prepared.describe())
    example = tf.train.Example.FromString(train.read(2))
    encoded = example.features.feature["image"].bytes_list.value[0]
    assert encoded == (source.parent / "photo.jpg").read_bytes()


def test_missing_files_are_listed(source, prepare_public):
    (source / "train-00001-of-00002").unlink()
    with pytest.raises(UserError, match="such as train-00001-of-00002"):
        prepare_public("google_landmarks_records")
    prepared = prepare_public("google_landmarks_records", allow_missing=True)
    assert prepared.split("train").names == ["a0", "b0"]


def test_a_bad_photo_is_named_or_skipped(source, prepare_public):
    path = source / "test-00000-of-00001"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(record("bad", b"not a photo"))
        writer.write(record("c1", (source.parent / "photo.jpg").read_bytes()))
    with pytest.raises(UserError, match="bad is not a readable photo"):
        prepare_public("google_landmarks_records")
    prepared = prepare_public("google_landmarks_records", skip_bad=True)
    assert prepared.split("test").names == ["c1"]
    assert prepared.manifest["skipped"][0]["photo"] == "bad"


def test_damaged_and_other_records_are_named(source, prepare_public):
    path = source / "train-00001-of-00002"
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="train-00001-of-00002 is corrupt"):
        prepare_public("google_landmarks_records")
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(tf.train.Example().SerializeToString())
    with pytest.raises(UserError, match="a record without image/id"):
        prepare_public("google_landmarks_records")


def test_a_folder_without_records_is_named(tmp_path, prepare_public):
    (tmp_path / "source").mkdir()
    with pytest.raises(UserError, match="no file such as train-00000"):
        prepare_public("google_landmarks_records")

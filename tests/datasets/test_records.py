"""Records are read at random, and a damaged one is named."""

import os

import pytest
import tensorflow as tf

from agem_tf.datasets import records
from agem_tf.datasets.records import RecordFile, RecordStore, RecordWriter
from agem_tf.errors import UserError

PAYLOADS = [b"first", b"", b"third record" * 100]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "photos.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for payload in PAYLOADS:
            writer.write(payload)
    return path


def test_scan_and_read_agree_with_what_tensorflow_wrote(path):
    file = RecordFile(path)
    offsets, payloads = zip(*file.scan(), strict=True)
    assert list(payloads) == PAYLOADS
    assert [file.read(offset) for offset in reversed(offsets)] == (
        PAYLOADS[::-1]
    )


@pytest.mark.parametrize("position", [3, 9, 14, -1])
def test_a_flipped_bit_is_named(path, position):
    content = bytearray(path.read_bytes())
    content[position] ^= 4
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"photos\.tfrecord is corrupt"):
        list(RecordFile(path).scan())


@pytest.mark.parametrize("length", [5, 14, -3])
def test_a_truncated_file_is_named(path, length):
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(UserError, match="truncated"):
        list(RecordFile(path).scan())


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="gone.tfrecord"):
        RecordFile(tmp_path / "gone.tfrecord")


def test_a_file_closes_with_its_last_reference(path):
    file = RecordFile(path)
    descriptor = file._bytes._descriptor
    del file
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_more_files_are_read_than_may_be_open(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "_MOST_OPEN", 2)
    paths = [tmp_path / f"{number}.tfrecord" for number in range(5)]
    for number, path in enumerate(paths):
        with path.open("wb") as file:
            RecordWriter(file).write(b"%d" % number)
    before = len(os.listdir("/proc/self/fd"))
    store = RecordStore(paths)
    for number in (0, 1, 2, 3, 4, 0, 4, 1):
        assert store.read(number, 0) == b"%d" % number
    assert len(os.listdir("/proc/self/fd")) == before + 2

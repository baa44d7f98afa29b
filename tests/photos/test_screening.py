"""A bad photo of a batch has a status, and the others their pixels."""

import io
import struct
import zlib

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from agem_tf.config import ImageConfig
from agem_tf.photos import limits
from agem_tf.photos.screening import PhotoStatus, decode_valid

IMAGE = ImageConfig(size=64, resize="aspect")


def encode(seed, kind="JPEG", **options):
    coarse = np.random.default_rng(seed).integers(0, 255, (5, 7, 3))
    photo = PIL.Image.fromarray(coarse.astype(np.uint8)).resize((70, 50))
    buffer = io.BytesIO()
    photo.save(buffer, kind, **options)
    return buffer.getvalue()


def png(width, height, pixels=b""):
    def chunk(name, data):
        body = name + data
        checksum = struct.pack(">I", zlib.crc32(body))
        return struct.pack(">I", len(data)) + body + checksum

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(pixels))
        + chunk(b"IEND", b"")
    )


def many_scans():
    content = encode(0, progressive=True)
    start = content.index(b"\xff\xda")
    end = content.index(b"\xff", start + 2)
    return content[:start] + 100 * content[start:end] + content[start:]


@pytest.fixture(scope="module")
def load():
    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string)])
    def function(encoded):
        boxes = tf.zeros((tf.size(encoded), 4))
        photos = decode_valid(encoded, boxes, IMAGE)
        rows = tf.cast(tf.reduce_sum(photos.pixels, (1, 2)), tf.float32)
        return *photos, photos.spread(rows)

    return lambda *encoded: [
        each.numpy() for each in function(tf.constant(encoded, tf.string))
    ]


BAD = {
    PhotoStatus.UNREADABLE: [
        encode(0)[:-300],
        encode(0, "PNG")[:-100],
        b"\xff\xd8\xff\xe0broken",
        b"\x89PNG\r\n\x1a\n",
        png(0, 0),
        png(1 << 31, 1 << 31),
        png(10, 10),
    ],
    PhotoStatus.UNSUPPORTED_FORMAT: [
        b"",
        b"GIF89a",
        b"\xff\xd8",
        encode(0, "WEBP"),
        encode(0, "BMP"),
    ],
    PhotoStatus.TOO_MANY_PIXELS: [png(40_000, 40_000), png(10_001, 10_000)],
    PhotoStatus.TOO_MANY_SCANS: [many_scans()],
}


def test_each_bad_photo_has_its_status_and_disturbs_no_other(load):
    good = [encode(1), encode(2, "PNG"), encode(3, progressive=True)]
    bad = [(status, photo) for status, all in BAD.items() for photo in all]
    expected = [0, *(status for status, _ in bad), 0, 0]
    batch = [good[0], *(photo for _, photo in bad), good[1], good[2]]
    status, positions, pixels, valid, spread = load(*batch)
    # The sides of one PNG do not fit into 32 bits.
    expected[batch.index(png(1 << 31, 1 << 31))] = PhotoStatus.TOO_MANY_PIXELS
    assert status.tolist() == expected
    assert sorted(positions) == [
        i for i, each in enumerate(expected) if not each
    ]
    assert not spread[np.array(expected) != 0].any()
    for position, photo in zip((0, -2, -1), good, strict=True):
        _, _, alone, _, row = load(photo)
        where = positions.tolist().index(range(len(batch))[position])
        np.testing.assert_array_equal(pixels[where], alone[0])
        np.testing.assert_array_equal(spread[position], row[0])
        assert valid[where].tolist() == [46, 64]


@pytest.mark.parametrize("batch", [[], [b"bad"], [b"", png(9, 9)]])
def test_a_batch_may_have_no_valid_photo(load, batch):
    status, positions, pixels, valid, spread = load(*batch)
    assert status.shape == (len(batch),)
    assert (status != 0).all()
    assert positions.shape == (0,)
    assert pixels.shape == (0, 64, 64, 3)
    assert valid.shape == (0, 2)
    assert spread.shape == (len(batch), 3)
    assert not spread.any()


def test_bytes_are_bounded(monkeypatch):
    monkeypatch.setattr(limits, "MAX_BYTES", 100)
    photos = decode_valid(
        tf.constant([encode(0), b"GIF89a"]), tf.zeros((2, 4)), IMAGE
    )
    assert photos.status.numpy().tolist() == [
        PhotoStatus.TOO_MANY_BYTES,
        PhotoStatus.UNSUPPORTED_FORMAT,
    ]


def test_scans_that_a_comment_hides_are_counted(load):
    content = many_scans()
    start = content.index(b"\xff\xda")
    hiding = b"\xff\xfe\x00\x06\xff\xd9\xff\xd9"
    for position in (2, content.index(b"\xff\xda", start + 2)):
        hidden = content[:position] + hiding + content[position:]
        assert load(hidden)[0].tolist() == [PhotoStatus.TOO_MANY_SCANS]


def test_a_video_after_a_photo_holds_no_scans(load):
    motion = encode(1) + b"ftypmp42" + 100 * b"\xff\xda\x00\x0c"
    assert load(motion)[0].tolist() == [PhotoStatus.VALID]

"""What TensorFlow decodes quietly is kept; what it reports is converted."""

import io
import logging
import struct
import zlib

import numpy as np
import PIL.Image
import pytest

from agem_tf.errors import UserError
from agem_tf.photos import limits
from agem_tf.photos.encoding import encode_photo, sent_photo
from agem_tf.photos.reading import open_metadata
from agem_tf.photos.upright_rgb import upright_size


@pytest.fixture
def jpeg():
    pixels = np.random.default_rng(0).integers(0, 255, (40, 30, 3), np.uint8)
    stream = io.BytesIO()
    PIL.Image.fromarray(pixels).save(stream, "JPEG", quality=95)
    return stream.getvalue()


def test_damage_that_the_decoder_reports_is_named_once(jpeg, caplog, capfd):
    damaged = jpeg[:-2] + b"abc" + jpeg[-2:]
    with caplog.at_level(logging.WARNING):
        photo = encode_photo(damaged, "a.jpg")
    (record,) = caplog.records
    assert record.getMessage().startswith("a.jpg: Corrupt JPEG data: ")
    assert photo.encoded.startswith(b"\x89PNG")
    again = encode_photo(photo.encoded, "a.png")
    assert again.encoded == photo.encoded
    assert "Corrupt JPEG" not in capfd.readouterr().err
    with (
        PIL.Image.open(io.BytesIO(damaged)) as expected,
        PIL.Image.open(io.BytesIO(photo.encoded)) as found,
    ):
        np.testing.assert_array_equal(found, expected)


def test_a_sound_jpeg_is_kept_byte_by_byte(jpeg, caplog):
    photo = encode_photo(jpeg, "a.jpg")
    assert photo.encoded == jpeg
    assert (photo.width, photo.height) == (30, 40)
    assert not caplog.records


def test_an_upload_of_too_many_pixels_is_not_decoded(jpeg, monkeypatch):
    monkeypatch.setattr(limits, "MAX_JPEG_PIXELS", 30 * 40 - 1)
    assert sent_photo(jpeg) is None
    with pytest.raises(UserError, match="30 x 40 pixels, more than 1199"):
        encode_photo(jpeg, "a.jpg")


def test_a_damaged_upload_is_not_left_to_the_decoder_of_the_model(jpeg):
    assert sent_photo(jpeg).encoded == jpeg
    assert sent_photo(jpeg[:-2] + b"abc" + jpeg[-2:]) is None


def png_chunk(kind, content):
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


def test_size_and_orientation_of_a_png_are_read_without_its_pixels(jpeg):
    stream = io.BytesIO()
    PIL.Image.open(io.BytesIO(jpeg)).save(stream, "PNG")
    with open_metadata(stream.getvalue(), "a.png") as photo:
        assert upright_size(photo) == (30, 40)
        # Decoded, it has none left.
        assert photo.tile


def test_an_orientation_behind_the_pixels_of_a_png_is_read():
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    PIL.Image.new("RGB", (30, 40)).save(stream, "PNG")
    encoded, end = stream.getvalue()[:-12], stream.getvalue()[-12:]
    encoded += png_chunk(b"eXIf", exif.tobytes()[6:]) + end
    with open_metadata(encoded, "a.png") as photo:
        assert upright_size(photo) == (40, 30)
    assert sent_photo(encoded) is None
    assert encode_photo(encoded, "a.png").width == 40

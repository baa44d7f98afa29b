"""Decoding, cropping and resizing give the pixels of a reference."""

import io
import struct
import zlib

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from agem_tf.config import ImageConfig
from agem_tf.photos import decoding


def photo(height=37, width=61):
    rng = np.random.default_rng(0)
    coarse = PIL.Image.fromarray(rng.integers(0, 255, (5, 7, 3), np.uint8))
    return coarse.resize((width, height), PIL.Image.BICUBIC)


def encode(image, kind="PNG"):
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def png_header(width, height):
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + chunk
        + struct.pack(">I", zlib.crc32(chunk))
    )


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_decode_equals_pillow(kind):
    encoded = encode(photo(), kind)
    expected = np.asarray(PIL.Image.open(io.BytesIO(encoded)))
    decoded = decoding.decode_photo(encoded).numpy()
    assert decoded.shape == (37, 61, 3)
    # Chroma upsampling may round differently in two builds of libjpeg.
    np.testing.assert_allclose(decoded, expected, atol=3)


@pytest.mark.parametrize(
    "encoded", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"]
)
def test_other_bytes_are_refused(encoded):
    with pytest.raises(tf.errors.InvalidArgumentError):
        decoding.decode_photo(encoded)


def test_a_decompression_bomb_is_refused_by_its_header():
    with pytest.raises(tf.errors.InvalidArgumentError, match="too many pixels"):
        decoding.decode_photo(png_header(40_000, 40_000))


@pytest.mark.parametrize(
    ("interpolation", "pillow_filter"),
    [
        ("bilinear", PIL.Image.BILINEAR),
        ("bicubic", PIL.Image.BICUBIC),
        ("lanczos3", PIL.Image.LANCZOS),
    ],
)
@pytest.mark.parametrize("size", [60, 270])
def test_resizing_equals_pillow(interpolation, pillow_filter, size):
    image = photo(111, 183)
    resized = decoding.resize_aspect(
        tf.constant(np.asarray(image)), size, True, interpolation
    ).numpy()
    height = round(111 * size / 183)
    expected = np.asarray(image.resize((size, height), pillow_filter))
    # Pillow rounds between its two passes, and weighs borders by fixed point.
    assert np.abs(resized.astype(int) - expected).mean() < 0.6
    assert resized.shape == (height, size, 3)


def test_a_small_photo_is_only_enlarged_on_demand():
    pixels = tf.constant(np.asarray(photo()))
    assert decoding.resize_aspect(pixels, 100, False).shape == (37, 61, 3)
    assert decoding.resize_aspect(pixels, 100, True).shape == (61, 100, 3)


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(8, 160, (32, 100)), (500, 3, (100, 32)), (5, 7, (32, 32))],
)
def test_no_side_gets_below_what_networks_can_pool(height, width, expected):
    image = tf.fill((height, width, 3), tf.constant(77, tf.uint8))
    resized = decoding.resize_aspect(image, 100, False).numpy()
    assert resized.shape == (*expected, 3)
    assert (resized == 77).all()


def test_a_tiny_box_still_fits_the_square():
    config = ImageConfig(size=32, resize="aspect")
    box = tf.constant([10.0, 5.0, 12.0, 6.0])
    loaded = decoding.photo_on_canvas(encode(photo()), config, box)
    assert loaded["valid"].numpy().tolist() == [32, 32]


def test_a_box_keeps_the_scale_of_its_photo():
    box = tf.constant([10.0, 5.0, 40.0, 25.0])
    config = ImageConfig(size=122, resize="aspect", enlarge=True)
    loaded = decoding.photo_on_canvas(encode(photo()), config, box)
    assert loaded["valid"].numpy().tolist() == [40, 60]
    assert loaded["image"].shape == (122, 122, 3)
    assert not loaded["image"][40:].numpy().any()
    assert not loaded["image"][:, 60:].numpy().any()


def test_a_box_of_zeros_is_the_whole_photo():
    pixels = tf.constant(np.asarray(photo()))
    whole = decoding.crop(pixels, tf.zeros(4))
    np.testing.assert_array_equal(whole, pixels)


def test_a_box_is_clipped_to_the_photo():
    pixels = tf.constant(np.asarray(photo()))
    cut = decoding.crop(pixels, tf.constant([50.0, -3.0, 99.0, 4.0]))
    np.testing.assert_array_equal(cut, pixels[:4, 50:])

"""A graph shows every kind of PNG as the host does."""

import itertools
import struct
import zlib

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from agem_tf.photos import png_decoding, reading
from agem_tf.photos.decoding import decode_photo

# Type of colours -> channels, depths.
TYPES = {
    0: (1, (1, 2, 4, 8, 16)),
    2: (3, (8, 16)),
    3: (1, (1, 2, 4, 8)),
    4: (2, (8, 16)),
    6: (4, (8, 16)),
}
KINDS = [
    (colour_type, depth, used, has_key)
    for colour_type, (_, depths) in TYPES.items()
    for depth in depths
    for used in ((depth,) if depth < 16 else (8, 10, 12, 16))
    for has_key in ((False,) if colour_type > 3 else (False, True))
]
HEIGHT, WIDTH = 7, 9


def chunk(kind, content):
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


def png(colour_type, depth, used, has_key):
    channels, _ = TYPES[colour_type]
    rng = np.random.default_rng(depth + used)
    values = rng.integers(0, 1 << used, (HEIGHT, WIDTH * channels))
    values[0, :channels] = (1 << used) - 1
    digits = np.unpackbits(
        values.astype(">u2").view(np.uint8).reshape(HEIGHT, -1, 2), axis=2
    )[..., 16 - depth :]
    rows = np.packbits(digits.reshape(HEIGHT, -1), axis=1)
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, colour_type, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    if colour_type == 3:
        content += chunk(b"PLTE", rng.bytes(3 << depth))
    if has_key:
        key = values[1, :channels].astype(">u2").tobytes()
        key = rng.bytes(1 << depth) if colour_type == 3 else key
        content += chunk(b"tRNS", key)
    pixels = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    return content + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@tf.function(input_signature=[tf.TensorSpec((), tf.string)])
def seen(encoded):
    return decode_photo(encoded, upright=True), png_decoding.is_plain(encoded)


@pytest.mark.parametrize(("colour_type", "depth", "used", "has_key"), KINDS)
def test_a_graph_decodes_what_the_host_shows(
    monkeypatch, colour_type, depth, used, has_key
):
    encoded = png(colour_type, depth, used, has_key)
    with reading.opened(encoded, "photo") as photo:
        expected = np.asarray(reading.to_rgb(photo))
    found, is_plain = seen(encoded)
    assert bool(is_plain) == (depth < 16 and colour_type < 4 and not has_key)
    np.testing.assert_array_equal(found, expected)
    # In several strips, the last of which is smaller.
    monkeypatch.setattr(png_decoding, "_STRIP_PIXELS", 3 * WIDTH)
    np.testing.assert_array_equal(decode_photo(encoded, upright=True), expected)


def test_every_alpha_is_blended_as_by_pillow():
    pairs = list(itertools.product(range(256), repeat=2))
    pixels = np.array([(c, c, 255 - c, a) for c, a in pairs], np.uint8)
    photo = PIL.Image.fromarray(pixels.reshape(256, 256, 4))
    np.testing.assert_array_equal(
        png_decoding._on_white(np.asarray(photo).astype(np.int32)),
        reading.to_rgb(photo),
    )

"""Colours of 16 bits are scaled by their depth, on the host and in graphs."""

import io
import struct
import zlib

import cv2
import numpy as np
import PIL.Image
import pytest

from agem_tf.errors import UserError
from agem_tf.photos import reading

# Bits that the values use -> their largest value.
DEPTHS = {8: 255, 10: 1023, 12: 4095, 16: 65535}
PNG_COLOURS = {"LA": 4, "RGB": 2, "RGBA": 6}


def chunk(kind, content):
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


def png(values, colour_type, key=None):
    """Encodes (height, width, channels) uint16 values."""
    height, width = values.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    rows = [b"\0" + row.astype(">u2").tobytes() for row in values]
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + (chunk(b"tRNS", struct.pack(">3H", *key)) if key else b"")
        + chunk(b"IDAT", zlib.compress(b"".join(rows)))
        + chunk(b"IEND", b"")
    )


def tiff(values, order, photometric, planes=1, compression="raw", extra=None):
    """Encodes (height, width, channels) uint16 values.

    Args:
        order: "<" or ">".
        planes: 1 for pixels side by side, 2 for a plane per channel.
        extra: what TIFF calls the extra sample, that of alpha.
    """
    height, width, channels = values.shape
    parts = [values] if planes == 1 else [values[..., i] for i in range(3)]
    strips = [part.astype(order + "u2").tobytes() for part in parts]
    kinds = {"raw": 1, "deflate": 8}
    if compression == "deflate":
        strips = list(map(zlib.compress, strips))
    starts = [8 + sum(map(len, strips[:i])) for i in range(len(strips))]
    content = b"".join(strips)
    content += bytes(len(content) % 2)

    def placed(format_, numbers):
        nonlocal content
        place = 8 + len(content)
        content += struct.pack(f"{order}{len(numbers)}{format_}", *numbers)
        return place

    entries = {
        256: (4, [width]),
        257: (4, [height]),
        258: (3, [16] * channels),
        259: (3, [kinds[compression]]),
        262: (3, [photometric]),
        273: (4, starts),
        277: (3, [channels]),
        278: (4, [height]),
        279: (4, list(map(len, strips))),
        284: (3, [planes]),
        **({338: (3, [extra])} if extra is not None else {}),
    }
    table = struct.pack(order + "H", len(entries))
    for tag, (kind, numbers) in entries.items():
        format_ = "H" if kind == 3 else "I"
        packed = struct.pack(f"{order}{len(numbers)}{format_}", *numbers)
        if len(packed) > 4:
            packed = struct.pack(order + "I", placed(format_, numbers))
        table += struct.pack(order + "HHI", tag, kind, len(numbers))
        table += packed.ljust(4, b"\0")
    magic = b"II*\0" if order == "<" else b"MM\0*"
    place = struct.pack(order + "I", 8 + len(content))
    return magic + place + content + table + bytes(4)


def ramp(most, channels):
    """Returns (3, 5, channels) values up to the largest, all different."""
    size = 15 * channels
    values = np.linspace(0, most, size).reshape(3, 5, channels)
    return values.astype(np.uint16)


def pixels_of(encoded):
    with reading.opened(encoded, "photo") as photo:
        return np.asarray(reading.to_rgb(photo)).astype(int)


@pytest.mark.parametrize("bits", DEPTHS)
@pytest.mark.parametrize("kind", ["png", "tif"])
def test_colours_have_the_range_of_their_depth(bits, kind):
    values = ramp(DEPTHS[bits], 3)
    _, encoded = cv2.imencode(f".{kind}", values[..., ::-1])
    np.testing.assert_array_equal(
        pixels_of(encoded.tobytes()), values >> bits - 8
    )


@pytest.mark.parametrize("bits", DEPTHS)
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("compression", ["raw", "deflate"])
def test_tiff_of_both_orders(bits, order, compression):
    values = ramp(DEPTHS[bits], 3)
    found = pixels_of(tiff(values, order, 2, compression=compression))
    np.testing.assert_array_equal(found, values >> bits - 8)


@pytest.mark.parametrize("bits", DEPTHS)
@pytest.mark.parametrize("order", "<>")
def test_inks_have_the_range_of_their_depth(bits, order):
    values = ramp(DEPTHS[bits], 4)
    values[0, 0] = 0
    inks = PIL.Image.fromarray((values >> bits - 8).astype(np.uint8), "CMYK")
    np.testing.assert_array_equal(
        pixels_of(tiff(values, order, 5)), np.asarray(inks.convert("RGB"))
    )


@pytest.mark.parametrize("bits", DEPTHS)
@pytest.mark.parametrize("opaque", ["depth", 65535])
@pytest.mark.parametrize("kind", ["png LA", "png RGBA", "tif"])
def test_alpha_has_the_depth_of_the_colours_or_16_bits(bits, opaque, kind):
    most = DEPTHS[bits]
    opaque = most if opaque == "depth" else opaque
    values = ramp(most, 2 if kind == "png LA" else 4)
    values[..., -1] = opaque
    values[1:, :2, -1] = 0
    encoded = (
        tiff(values, "<", 2, extra=2)
        if kind == "tif"
        else png(values, PNG_COLOURS[kind[4:]])
    )
    expected = np.broadcast_to(values[..., :-1] >> bits - 8, (3, 5, 3)).copy()
    expected[1:, :2] = 255
    np.testing.assert_array_equal(pixels_of(encoded), expected)


@pytest.mark.parametrize("bits", DEPTHS)
def test_the_colour_key_is_compared_with_all_bits(bits):
    values = ramp(DEPTHS[bits], 3)
    encoded = png(values, PNG_COLOURS["RGB"], key=values[1, 1].tolist())
    expected = values >> bits - 8
    expected[1, 1] = 255
    np.testing.assert_array_equal(pixels_of(encoded), expected)


@pytest.mark.parametrize("order", "<>")
def test_separate_planes_are_read_or_refused(order):
    values = ramp(65535, 3)
    found = pixels_of(tiff(values, order, 2, 2, "deflate"))
    np.testing.assert_array_equal(found, values >> 8)
    with pytest.raises(UserError, match="upper 8 are unused"):
        pixels_of(tiff(values >> 8, order, 2, 2, "deflate"))
    with pytest.raises(UserError, match="in separate planes"):
        pixels_of(tiff(values, order, 2, 2))


def test_colours_multiplied_by_alpha_of_few_bits_are_refused():
    values = ramp(65535, 4)
    values[..., 3] = 65535
    found = pixels_of(tiff(values, "<", 2, extra=1))
    np.testing.assert_array_equal(found, values[..., :3] >> 8)
    with pytest.raises(UserError, match="upper 6 are unused"):
        pixels_of(tiff(values >> 6, "<", 2, extra=1))


@pytest.mark.parametrize("bits", DEPTHS)
def test_grey_of_a_negative_is_inverted(bits):
    values = ramp(DEPTHS[bits], 1)
    found = pixels_of(tiff(values, "<", 0))[..., :1]
    np.testing.assert_array_equal(found, 255 - (values >> bits - 8))


def test_a_dark_photo_of_565_bits_is_kept():
    # Stored as 16 bits per pixel, not per colour.
    header = struct.pack("<IiiHHIIiiII", 40, 2, 1, 1, 16, 3, 4, 0, 0, 0, 0)
    masks = struct.pack("<3I", 0xF800, 0x7E0, 0x1F)
    file = struct.pack("<2sIHHI", b"BM", 70, 0, 0, 14 + 40 + 12)
    encoded = file + header + masks + struct.pack("<HH", 1 << 11, 1 << 5)
    assert pixels_of(encoded).tolist() == [[[8, 0, 0], [0, 4, 0]]]


def test_a_deep_photo_is_encoded_with_8_bits():
    from agem_tf.photos.encoding import encode_photo

    encoded = png(ramp(255, 3), PNG_COLOURS["RGB"])
    with PIL.Image.open(io.BytesIO(encode_photo(encoded, "x").encoded)) as made:
        assert made.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(made), ramp(255, 3))

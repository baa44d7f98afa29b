"""Every photo file becomes upright RGB, or one sentence."""

import collections
import io
import os
import pathlib
import re
import struct
import subprocess
import sys
import zlib

import numpy as np
import PIL.Image
import PIL.ImageFile
import PIL.ImageOps
import PIL.JpegImagePlugin
import PIL.TiffImagePlugin
import pytest

import agem_tf
from agem_tf.config import ImageConfig
from agem_tf.errors import UserError
from agem_tf.photos import (
    canvases,
    decoding,
    encoding,
    limits,
    reading,
    upright_rgb,
)
from agem_tf.photos.upright_rgb import to_rgb


def save(path, pixels, **options):
    PIL.Image.fromarray(pixels).save(path, **options)
    return path


@pytest.fixture
def pixels():
    rng = np.random.default_rng(0)
    coarse = PIL.Image.fromarray(rng.integers(0, 255, (6, 8, 3), np.uint8))
    return np.asarray(coarse.resize((48, 36)))


def decode(photo):
    return decoding.decode_photo(photo.encoded).numpy()


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_plain_photo_is_kept_byte_by_byte(tmp_path, pixels, suffix):
    path = save(tmp_path / f"photo.{suffix}", pixels)
    photo = encoding.read_encoded_photo(path)
    assert photo.encoded == path.read_bytes()
    assert (photo.width, photo.height) == (48, 36)


def test_a_rotated_photo_has_the_size_that_is_seen(tmp_path, pixels):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    photo = encoding.read_encoded_photo(
        save(tmp_path / "photo.jpg", pixels, exif=exif)
    )
    assert (photo.width, photo.height) == (36, 48)
    assert decode(photo).shape == (48, 36, 3)


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_sixteen_bits_of_grey_keep_their_range(tmp_path, suffix):
    ramp = np.linspace(0, 65535, 600).reshape(20, 30).astype(np.uint16)
    decoded = decode(
        encoding.read_encoded_photo(save(tmp_path / f"ramp.{suffix}", ramp))
    )
    np.testing.assert_allclose(decoded[..., 0], ramp / 257, atol=1)
    assert (decoded[..., 0] == decoded[..., 2]).all()


def test_what_is_transparent_is_white(tmp_path, pixels):
    alpha = np.full((36, 48, 1), 255, np.uint8)
    alpha[:, 24:] = 0
    path = save(tmp_path / "logo.png", np.concatenate([pixels, alpha], 2))
    decoded = decode(encoding.read_encoded_photo(path))
    np.testing.assert_array_equal(decoded[:, :24], pixels[:, :24])
    assert (decoded[:, 24:] == 255).all()


@pytest.mark.parametrize(
    "content", [b"", b"not a photo", b"\x89PNG\r\n\x1a\n" + bytes(50)]
)
def test_other_bytes_are_refused_by_name(tmp_path, content):
    path = tmp_path / "bad.jpg"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"bad\.jpg.*--skip_bad"):
        encoding.read_encoded_photo(path)


def test_too_many_pixels_are_refused(tmp_path, pixels, monkeypatch):
    path = save(tmp_path / "large.png", pixels)
    monkeypatch.setattr(limits, "MAX_PIXELS", 1000)
    with pytest.raises(UserError, match="48 x 36 pixels, more than 1000"):
        encoding.read_encoded_photo(path)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, on tags.
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_damage_is_refused_or_repaired_but_never_passed_on(
    tmp_path, pixels, suffix
):
    path = save(tmp_path / f"photo.{suffix}", pixels)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    # Both ends, where formats keep what decoders disagree about.
    positions = [*range(80), *range(-20, 0)]
    accepted = 0
    for position in positions:
        content = bytearray(whole)
        content[position] ^= rng.integers(1, 256)
        path.write_bytes(content)
        try:
            photo = encoding.read_encoded_photo(path)
        except UserError:
            continue
        accepted += 1
        assert decode(photo).shape == (photo.height, photo.width, 3)
    assert 0 < accepted < len(positions)


def test_a_photo_that_only_pillow_decodes_is_converted(tmp_path, pixels):
    path = save(tmp_path / "photo.png", pixels)
    content = bytearray(path.read_bytes())
    # Pillow does not verify the checksum of the closing chunk; libpng does.
    content[-1] ^= 1
    path.write_bytes(content)
    np.testing.assert_array_equal(
        decode(encoding.read_encoded_photo(path)), pixels
    )


def test_bytes_are_png_after_conversion(tmp_path, pixels):
    photo = encoding.read_encoded_photo(save(tmp_path / "photo.bmp", pixels))
    assert PIL.Image.open(io.BytesIO(photo.encoded)).format == "PNG"
    np.testing.assert_array_equal(decode(photo), pixels)


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_what_graphs_decode_is_sent_as_it_is(tmp_path, pixels, suffix, turn):
    exif = PIL.Image.Exif()
    exif[0x0112] = turn
    path = save(tmp_path / f"a.{suffix}", pixels, exif=exif)
    encoded = path.read_bytes()
    sent, checked = (
        encoding.sent_photo(encoded),
        encoding.encode_photo(encoded, ""),
    )
    assert sent.encoded == encoded
    assert (sent.width, sent.height) == (checked.width, checked.height)
    turned = decoding.decode_photo(encoded, upright=True)
    np.testing.assert_array_equal(turned, decode(checked))


@pytest.mark.parametrize("kind", ["webp", "palette", "transparent", "cut"])
def test_what_graphs_do_not_decode_is_not_sent(tmp_path, pixels, kind):
    photo, path = PIL.Image.fromarray(pixels), tmp_path / "a.png"
    if kind == "webp":
        path = path.with_suffix(".webp")
    if kind == "palette":
        photo = photo.quantize(8)
    if kind == "transparent":
        photo.putalpha(90)
    photo.save(path)
    encoded = path.read_bytes()
    cut = encoded[:20] if kind == "cut" else encoded
    assert encoding.sent_photo(cut) is None


def decoded_file(path, upright=True):
    return decode(encoding.read_encoded_photo(path, upright))


@pytest.mark.parametrize(
    ("largest", "white"),
    [(200, 255), (1000, 1023), (4000, 4095), (65000, 65535), (10**9, 10**9)],
)
def test_deep_integers_are_scaled_by_their_bits(tmp_path, largest, white):
    ramp = np.linspace(0, largest, 600).reshape(20, 30).astype(np.int32)
    decoded = decoded_file(save(tmp_path / "ramp.tif", ramp))
    np.testing.assert_allclose(decoded[..., 1], ramp * (255 / white), atol=1)


@pytest.mark.parametrize("white", [1, 255, 65535])
def test_floats_are_scaled_by_their_range(tmp_path, white):
    ramp = np.linspace(0, white, 600, dtype=np.float32).reshape(20, 30)
    decoded = decoded_file(save(tmp_path / "ramp.tif", ramp))
    np.testing.assert_allclose(decoded[..., 2], 255 * ramp / white, atol=0.6)


def test_floats_that_are_not_finite_are_refused(tmp_path):
    pixels = np.full((20, 30), np.nan, np.float32)
    with pytest.raises(UserError, match=r"ramp\.tif.*NaN"):
        decoded_file(save(tmp_path / "ramp.tif", pixels))


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_negative_values_are_scaled_by_their_range(tmp_path, dtype):
    grey = np.array([[-1000, 0], [500, 1000]], dtype)
    path = save(tmp_path / "photo.tif", grey)
    found = reading.read_pixels(path)[..., 0]
    np.testing.assert_allclose(found, [[0, 127.5], [191, 255]], atol=1)
    black = save(tmp_path / "black.tif", np.full((2, 2), -5, dtype))
    assert not reading.read_pixels(black).any()


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_the_colour_key_of_few_bits_is_white(tmp_path, bits):
    def chunk(kind, content):
        checksum = zlib.crc32(kind + content).to_bytes(4, "big")
        return len(content).to_bytes(4, "big") + kind + content + checksum

    # A row of eight grey values, 0 and 1 in turns, of which 1 is transparent.
    packed = {1: b"\x55", 2: b"\x11\x11", 4: b"\1\1\1\1"}[bits]
    path = tmp_path / "key.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 1, bits, 0, 0, 0, 0))
        + chunk(b"tRNS", b"\0\1")
        + chunk(b"IDAT", zlib.compress(b"\0" + packed))
        + chunk(b"IEND", b"")
    )
    assert reading.read_pixels(path)[0, :, 0].tolist() == [0, 255] * 4


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_grey_colour_key_is_white(tmp_path, dtype):
    grey = np.full((20, 30), np.iinfo(dtype).max // 2, dtype)
    grey[:, :10] = 7
    path = save(tmp_path / "key.png", grey, transparency=7)
    decoded = decoded_file(path)
    assert (decoded[:, :10] == 255).all()
    assert (decoded[:, 10:] == 127).all()


def test_a_palette_and_a_colour_key_are_converted(tmp_path, pixels):
    photo = PIL.Image.fromarray(pixels)
    photo.save(tmp_path / "key.png", transparency=tuple(pixels[0, 0].tolist()))
    key = (pixels == pixels[0, 0]).all(axis=2, keepdims=True)
    np.testing.assert_array_equal(
        decoded_file(tmp_path / "key.png"), np.where(key, 255, pixels)
    )
    palette = photo.quantize(16)
    palette.save(tmp_path / "palette.gif")
    np.testing.assert_array_equal(
        decoded_file(tmp_path / "palette.gif"), palette.convert("RGB")
    )


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_photos_are_turned_as_viewers_turn_them(
    tmp_path, pixels, orientation, suffix
):
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / f"photo.{suffix}", pixels, exif=exif)
    with PIL.Image.open(path) as photo:
        expected = PIL.ImageOps.exif_transpose(photo).convert("RGB")
    np.testing.assert_allclose(decoded_file(path), expected, atol=3)


def exif_block(rng):
    """An EXIF block with orientation 6 and further tags, some bytes changed."""
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "Maker of cameras"
    exif[0x011A] = PIL.TiffImagePlugin.IFDRational(72, 1)
    exif[0x0128] = 2
    block = bytearray(exif.tobytes())
    for position in rng.integers(6, len(block), rng.integers(1, 6)):
        block[position] = rng.integers(256)
    return bytes(block)


@pytest.mark.parametrize(
    ("compression", "altered", "is_read"),
    [("group4", 1, True), ("tiff_lzw", 40, False)],
)
def test_damage_that_libtiff_reports_has_the_name_of_the_photo(
    tmp_path, compression, altered, is_read, caplog, capfd
):
    path = tmp_path / "scan.tif"
    noise = np.random.default_rng(0).integers(0, 256, (40, 60), np.uint8)
    photo = PIL.Image.fromarray(noise)
    photo = photo.convert("1") if compression == "group4" else photo
    photo.save(path, compression=compression)
    content = bytearray(path.read_bytes())
    content[60 : 60 + altered] = bytes(altered)
    path.write_bytes(content)
    if is_read:
        reading.read_pixels(path)
        named = caplog.text
    else:
        with pytest.raises(UserError) as refused:
            reading.read_pixels(path)
        named = str(refused.value)
    assert re.search(r"scan\.tif.*(Fax4|LZW)Decode", named)
    assert not capfd.readouterr().err


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, on tags.
@pytest.mark.parametrize("suffix", ["jpg", "webp"])
def test_a_damaged_exif_block_seldom_loses_the_photo(tmp_path, pixels, suffix):
    rng = np.random.default_rng(0)
    seen = collections.Counter()
    for _ in range(150):
        path = save(tmp_path / f"photo.{suffix}", pixels, exif=exif_block(rng))
        try:
            photo = encoding.read_encoded_photo(path)
        except UserError:
            seen["refused"] += 1
        else:
            seen[photo.width, photo.height] += 1
    assert set(seen) >= {(36, 48), (48, 36)}
    assert seen["refused"] < 15


def test_an_ill_typed_tag_beside_the_orientation_is_ignored(tmp_path, pixels):
    # Two tags: an XResolution that is text, and orientation 6.
    entries = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)
    entries += struct.pack("<HHI4s", 0x011A, 2, 4, b"abc")
    block = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + entries + bytes(4)
    path = save(tmp_path / "photo.jpg", pixels, exif=block)
    assert decoded_file(path).shape == (48, 36, 3)


def test_a_resolution_that_pillow_fails_on_is_ignored(tmp_path, pixels):
    entries = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)
    entries += struct.pack("<HHII", 0x011A, 7, 1, 9)  # A single byte.
    entries += struct.pack("<HHIHH", 0x0128, 3, 1, 2, 0)
    block = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 3) + entries + bytes(4)
    path = save(tmp_path / "photo.jpg", pixels, exif=block)
    with pytest.raises(SyntaxError, match="index out of range"):
        PIL.JpegImagePlugin.JpegImageFile(path)
    assert decoded_file(path).shape == (36, 48, 3)


@pytest.mark.parametrize("kind", ["PCX", "TGA", "DDS", "ICO", "SGI", "EPS"])
def test_other_formats_of_pillow_are_refused(tmp_path, pixels, kind):
    path = tmp_path / "photo.jpg"
    PIL.Image.fromarray(pixels).save(path, format=kind)
    with pytest.raises(UserError, match=r"photo\.jpg.*none of JPEG, PNG, WebP"):
        encoding.read_encoded_photo(path)


def test_heif_names_the_package_that_it_needs(tmp_path, monkeypatch):
    PIL.Image.init()
    monkeypatch.delitem(PIL.Image.OPEN, "HEIF", raising=False)
    path = tmp_path / "photo.heic"
    path.write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    with pytest.raises(UserError, match=r"pip install '.\[heif\]'"):
        encoding.read_encoded_photo(path)


@pytest.mark.skipif(reading.pillow_heif is None, reason="needs pillow-heif")
def test_heif_is_converted(tmp_path, pixels):
    photo = encoding.read_encoded_photo(
        save(tmp_path / "photo.heic", pixels, quality=95)
    )
    assert (photo.width, photo.height) == (48, 36)
    # Colours have half the resolution.
    assert np.abs(decode(photo) - pixels.astype(int)).mean() < 12


def test_many_scans_of_a_progressive_jpeg_are_refused(tmp_path, pixels):
    path = save(tmp_path / "photo.jpg", pixels, progressive=True)
    content = path.read_bytes()
    assert decoded_file(path).shape == (36, 48, 3)
    start = content.index(b"\xff\xda")
    end = content.index(b"\xff", start + 2)
    scan = content[start:end]
    path.write_bytes(content[:start] + 100 * scan + content[start:])
    with pytest.raises(UserError, match=r"\d+ scans, more than 64"):
        encoding.read_encoded_photo(path)


def test_a_video_after_a_photo_holds_no_scans(tmp_path, pixels):
    path = save(tmp_path / "motion.jpg", pixels)
    plain = decoded_file(path)
    with path.open("ab") as file:
        file.write(b"ftypmp42" + 100 * b"\xff\xda\x00\x0c")
    np.testing.assert_array_equal(decoded_file(path), plain)


def test_a_name_that_is_not_utf8_and_special_files(tmp_path, pixels):
    plain = save(tmp_path / "photo.png", pixels)
    odd = os.fsencode(tmp_path) + b"/\xff.png"
    os.rename(plain, odd)
    assert decoded_file(os.fsdecode(odd)).shape == (36, 48, 3)
    os.mkfifo(tmp_path / "pipe.jpg")
    for name in ("pipe.jpg", "missing.jpg", "nul\0.jpg"):
        with pytest.raises(UserError, match="has 0 bytes|not a readable"):
            encoding.read_encoded_photo(tmp_path / name)


def test_thumbnails_show_the_pixels_that_are_described(tmp_path, pixels):
    ramp = np.linspace(0, 65535, 600).reshape(20, 30).astype(np.uint16)
    path = save(tmp_path / "ramp.png", ramp)
    np.testing.assert_array_equal(
        reading.read_thumbnail(path, 100), decoded_file(path)
    )
    large = save(tmp_path / "large.jpg", np.tile(pixels, (20, 20, 1)))
    assert max(reading.read_thumbnail(large, 64).size) == 64
    cut = reading.read_thumbnail(large, 64, (10, 10, 30, 20))
    assert cut.size == (20, 10)
    assert reading.read_thumbnail(tmp_path / "missing.jpg", 64) is None


@pytest.mark.parametrize("upright", [True, False])
def test_a_large_jpeg_is_decoded_at_half_its_sides(
    tmp_path, pixels, monkeypatch, upright
):
    monkeypatch.setattr(limits, "MAX_PIXELS", 1500)
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    plain = save(tmp_path / "plain.jpg", pixels, quality=95)
    lying = save(tmp_path / "lying.jpg", pixels, quality=95, exif=exif)
    half = np.asarray(PIL.Image.fromarray(pixels).reduce(2))

    kept = encoding.read_encoded_photo(plain, upright)
    assert kept.encoded == plain.read_bytes()
    assert (kept.width, kept.height, kept.reduction) == (48, 36, 1)
    np.testing.assert_allclose(decode(kept), half, atol=12)

    turned = encoding.read_encoded_photo(lying, upright)
    if upright:
        assert (turned.width, turned.height) == (36, 48)
        assert turned.reduction == 2
        np.testing.assert_allclose(decode(turned), np.rot90(half, -1), atol=12)
    else:
        assert turned.encoded == lying.read_bytes()
    thumbnail = reading.read_thumbnail(lying, 100, (4, 8, 24, 40))
    assert thumbnail.size == (10, 16)


def test_a_box_in_a_large_photo_is_in_pixels_of_the_whole(
    tmp_path, pixels, monkeypatch
):
    path = save(
        tmp_path / "large.jpg", np.kron(pixels, np.ones((2, 2, 1), "u1"))
    )
    image = ImageConfig(size=48, resize="aspect")
    box = np.array([20, 10, 80, 60], np.float32)
    sizes = np.array([[72, 96]])

    def load():
        encoded = encoding.read_encoded_photo(path).encoded
        loaded = decoding.photo_on_canvas(encoded, image, box)
        sides = canvases.resized_sides(sizes, box[None], image)[0]
        assert loaded["valid"].numpy().tolist() == sides.tolist()
        return loaded["image"].numpy()

    whole = load()
    monkeypatch.setattr(limits, "MAX_PIXELS", 5000)
    # Halved by the decoder or by the resizing that follows.
    assert np.abs(whole.astype(int) - load()).mean() < 2


def test_jpegs_have_a_limit_of_their_own(tmp_path, pixels, monkeypatch):
    monkeypatch.setattr(limits, "MAX_JPEG_PIXELS", 1000)
    path = save(tmp_path / "large.jpg", pixels)
    with pytest.raises(UserError, match="48 x 36 pixels, more than 1000"):
        encoding.read_encoded_photo(path)


def test_scans_are_bounded_by_the_pixels_they_pass_over(
    tmp_path, pixels, monkeypatch
):
    path = save(tmp_path / "photo.jpg", pixels, progressive=True)
    monkeypatch.setattr(limits, "MAX_SCANNED_PIXELS", 3 * pixels[..., 0].size)
    with pytest.raises(UserError, match=r"\d+ scans, more than 3"):
        encoding.read_encoded_photo(path)


@pytest.mark.parametrize("mode", ["RGBA", "P", "LA", "I;16", "I", "F", "CMYK"])
def test_strips_are_converted_as_the_whole(pixels, monkeypatch, mode):
    photo = PIL.Image.fromarray(pixels)
    if mode in ("I;16", "I", "F"):
        grey = np.asarray(photo.convert("L")).astype("uint16") * 100
        dtype = {"I;16": "uint16", "I": "int32", "F": "float32"}[mode]
        photo = PIL.Image.fromarray(grey.astype(dtype))
    else:
        photo = photo.convert(mode)
    whole = to_rgb(photo)
    monkeypatch.setattr(upright_rgb, "_STRIP_PIXELS", 5 * 48)
    np.testing.assert_array_equal(to_rgb(photo), whole)
    assert whole.size == (48, 36)


def test_formats_that_pillow_decodes_in_python_are_bounded(tmp_path):
    path = tmp_path / "photo.ppm"
    path.write_bytes(b"P6 20 10 99\n" + bytes(600))
    assert decoded_file(path).shape == (10, 20, 3)
    path.write_bytes(b"P6 2000 1000 99\n" + bytes(6_000_000))
    with pytest.raises(UserError, match=r"photo\.ppm.*convert it to PNG"):
        encoding.read_encoded_photo(path)


def test_no_warning_of_pillow_is_shown(tmp_path, pixels):
    # An orientation of two values, and a tag whose value lies beyond the end.
    entries = struct.pack("<HHIHH", 0x0112, 3, 2, 6, 6)
    entries += struct.pack("<HHII", 0x011A, 5, 9, 4000)
    block = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + entries + bytes(4)
    path = save(tmp_path / "photo.jpg", pixels, exif=block)
    program = (
        "import sys; from agem_tf.photos import reading; "
        "encoded = reading.read_photo_file(sys.argv[1])\n"
        "with reading.opened(encoded, 'photo') as photo: "
        "print(reading.to_rgb(photo).size)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", program, str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert done.stdout.startswith("(")


def test_photos_are_opened_in_one_place():
    package = pathlib.Path(agem_tf.__file__).parent
    opening = [
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if re.search(r"Image\.(open\(|OPEN)", path.read_text(encoding="utf-8"))
    ]
    assert opening == ["photos/reading.py"]


def test_a_machine_without_memory_is_no_fault_of_the_photo(tmp_path):
    PIL.Image.new("RGB", (40, 40)).save(tmp_path / "a.png")
    encoded = (tmp_path / "a.png").read_bytes()
    with pytest.raises(MemoryError), reading.opened(encoded, "a.png"):
        raise MemoryError


@pytest.fixture
def without_end(pixels, tmp_path):
    """Returns a function that writes a photo whose last bytes are missing."""

    def write(suffix):
        path = save(tmp_path / f"photo.{suffix}", pixels)
        path.write_bytes(path.read_bytes()[:-100])
        return path

    return write


@pytest.mark.parametrize("suffix", ["jpg", "png", "tiff"])
def test_a_photo_without_its_end_is_accepted_on_demand(
    without_end, pixels, monkeypatch, suffix
):
    """As viewers do, which show the rest."""
    path = without_end(suffix)
    with pytest.raises(UserError, match="truncated"):
        encoding.read_encoded_photo(path)
    monkeypatch.setattr(PIL.ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    photo = encoding.read_encoded_photo(path)
    assert (photo.width, photo.height) == (48, 36)
    decoded = decode(photo).astype(int)
    assert np.abs(decoded[:16] - pixels[:16]).mean() < 10
    np.testing.assert_array_equal(decoded, reading.read_pixels(path))


@pytest.mark.parametrize(("value", "status"), [("1", 0), ("", 1)])
def test_a_variable_accepts_photos_without_their_end(
    without_end, value, status
):
    script = (
        "import sys; from agem_tf.photos.reading import read_pixels;"
        "read_pixels(sys.argv[1])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, without_end("jpg")],
        env=os.environ | {reading.ACCEPT_TRUNCATED: value},
        capture_output=True,
    )
    assert ended.returncode == status

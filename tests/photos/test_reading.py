"""Whatever is accepted decodes later, and looks as it did to its owner."""

import io

import numpy as np
import PIL.Image
import pytest

from agem_tf.errors import UserError
from agem_tf.photos import decoding, reading


def save(path, pixels, **options):
    PIL.Image.fromarray(pixels).save(path, **options)
    return path


@pytest.fixture
def pixels():
    rng = np.random.default_rng(0)
    coarse = PIL.Image.fromarray(rng.integers(0, 255, (6, 8, 3), np.uint8))
    return np.asarray(coarse.resize((48, 36)))


def decode(photo):
    return decoding.decode(photo.encoded).numpy()


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_plain_photo_is_kept_byte_by_byte(tmp_path, pixels, suffix):
    path = save(tmp_path / f"photo.{suffix}", pixels)
    photo = reading.read(path)
    assert photo.encoded == path.read_bytes()
    assert (photo.width, photo.height) == (48, 36)


def test_a_rotated_photo_has_the_size_that_is_seen(tmp_path, pixels):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    photo = reading.read(save(tmp_path / "photo.jpg", pixels, exif=exif))
    assert (photo.width, photo.height) == (36, 48)
    assert decode(photo).shape == (48, 36, 3)


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_sixteen_bits_of_grey_keep_their_range(tmp_path, suffix):
    ramp = np.linspace(0, 65535, 600).reshape(20, 30).astype(np.uint16)
    decoded = decode(reading.read(save(tmp_path / f"ramp.{suffix}", ramp)))
    np.testing.assert_allclose(decoded[..., 0], ramp / 257, atol=1)
    assert (decoded[..., 0] == decoded[..., 2]).all()


def test_what_is_transparent_is_white(tmp_path, pixels):
    alpha = np.full((36, 48, 1), 255, np.uint8)
    alpha[:, 24:] = 0
    path = save(tmp_path / "logo.png", np.concatenate([pixels, alpha], 2))
    decoded = decode(reading.read(path))
    np.testing.assert_array_equal(decoded[:, :24], pixels[:, :24])
    assert (decoded[:, 24:] == 255).all()


@pytest.mark.parametrize(
    "content", [b"", b"not a photo", b"\x89PNG\r\n\x1a\n" + bytes(50)]
)
def test_other_bytes_are_refused_by_name(tmp_path, content):
    path = tmp_path / "bad.jpg"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"bad\.jpg.*--skip_bad"):
        reading.read(path)


def test_too_many_pixels_are_refused(tmp_path, pixels, monkeypatch):
    path = save(tmp_path / "large.png", pixels)
    monkeypatch.setattr(decoding, "MAX_PIXELS", 1000)
    with pytest.raises(UserError, match="48 x 36 pixels, more than 1000"):
        reading.read(path)


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
            photo = reading.read(path)
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
    np.testing.assert_array_equal(decode(reading.read(path)), pixels)


def test_bytes_are_png_after_conversion(tmp_path, pixels):
    photo = reading.read(save(tmp_path / "photo.bmp", pixels))
    assert PIL.Image.open(io.BytesIO(photo.encoded)).format == "PNG"
    np.testing.assert_array_equal(decode(photo), pixels)

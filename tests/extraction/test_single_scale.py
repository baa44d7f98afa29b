"""Local features of photos of any kind, from files and prepared photos."""

import contextlib
import re

import numpy as np
import PIL.Image
import pytest

from agem_tf.descriptors.linear_whitening import LinearWhitening
from agem_tf.descriptors.local_features import LocalFeatures
from agem_tf.errors import UserError
from agem_tf.extraction.local_feature_writing import write_folder_features
from agem_tf.extraction.single_scale import (
    SingleScaleExtractor,
    WhitenedExtractor,
    single_scale_extractor,
)
from agem_tf.photos import limits
from agem_tf.photos.reading import read_pixels


class BrightPixels(SingleScaleExtractor):
    """Keypoints at the white pixels of the scaled photo."""

    name, dimension, multiple = "bright", 2, 8

    def detect(self, pixels):
        rows, columns = np.nonzero(pixels.min(axis=2) > 200)
        self.seen = pixels.shape
        return LocalFeatures(
            np.column_stack([columns, rows]),
            np.column_stack([rows, columns]) / 1000,
            np.arange(len(rows)),
            np.ones(len(rows)),
            pixels.shape[:2],
        )


def textured(height, width, seed=0):
    rng = np.random.default_rng(seed)
    pixels = np.zeros((height, width, 3), np.uint8)
    for _ in range(60):
        top, left = rng.integers(0, height - 4), rng.integers(0, width - 4)
        rows, columns = rng.integers(4, 40, 2)
        pixels[top : top + rows, left : left + columns] = rng.integers(
            0, 256, 3
        )
    return pixels


def test_keypoints_are_in_pixels_of_the_photo():
    """A white square of 20 x 20 around (310, 130), seen at 2 / 5 of its size.

    The 400 x 640 photo is scaled to 160 x 256, both multiples of 8.
    """
    photo = np.zeros((400, 640, 3), np.uint8)
    photo[120:140, 300:320] = 255
    extractor = BrightPixels(side=256)
    found = extractor.features([photo])[0]
    assert extractor.seen == (160, 256, 3)
    assert found.size == (400, 640)
    np.testing.assert_allclose(
        found.keypoints.mean(axis=0), [309.5, 129.5], atol=0.1
    )
    np.testing.assert_allclose(found.scales, 2.5)
    assert len(found) == 64 and (np.diff(found.scores) <= 0).all()
    assert len(BrightPixels(most=5, side=256).features([photo])[0]) == 5


@pytest.mark.parametrize("size", [(1, 1), (9, 300), (1, 5000)])
def test_tiny_photos_have_no_features(size):
    photo = np.full((*size, 3), 255, np.uint8)
    found = BrightPixels().features([photo])[0]
    assert len(found) == 0 and found.size == size


def test_photos_are_turned_upright_before(tmp_path):
    photo = PIL.Image.fromarray(textured(60, 100))
    photo.getexif()
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    photo.save(tmp_path / "turned.png", exif=exif)
    photo.transpose(PIL.Image.Transpose.ROTATE_270).save(tmp_path / "up.png")
    extractor = single_scale_extractor("rootsift", 50, 512)
    turned, upright = (
        extractor.features([read_pixels(tmp_path / f"{name}.png")])[0]
        for name in ("turned", "up")
    )
    assert turned.size == (100, 60)
    np.testing.assert_array_equal(turned.keypoints, upright.keypoints)


@pytest.mark.parametrize("mode", ["L", "CMYK", "1"])
def test_photos_of_other_modes(tmp_path, mode):
    path = tmp_path / "photo.tif"
    PIL.Image.fromarray(textured(64, 96)).convert(mode).save(path)
    extractor = single_scale_extractor("rootsift", 50, 512)
    (found,) = extractor.features([read_pixels(path)])
    assert 0 < len(found) <= 50 and found.dimension == 128


def test_rootsift_has_unit_rows_and_none_on_plain_photos():
    extractor = single_scale_extractor("rootsift", 40, 512)
    found, plain = extractor.features(
        [textured(90, 120), np.full((90, 120, 3), 80, np.uint8)]
    )
    np.testing.assert_allclose(
        np.linalg.norm(found.descriptors, axis=1), 1, atol=1e-3
    )
    assert len(plain) == 0


def test_a_folder_is_written_once_and_again_for_other_settings(photo_folder):
    output = photo_folder.parent / "features"

    def written(count, overwrite=False):
        calls = []
        extractor = single_scale_extractor("rootsift", count, 512)
        original = extractor.features
        extractor.features = lambda photos: (
            calls.extend(photos) or original(photos)
        )
        found = write_folder_features(
            extractor, output, str(photo_folder), overwrite
        )
        return found, len(calls)

    found, computed = written(20)
    assert computed == 18
    assert found.names[:3] == [
        f"place0/{n}" for n in ("0.jpg", "1.png", "2.pgm")
    ]
    assert len(found["place0/2.pgm"]) == 0
    assert written(20)[1] == 0
    assert written(30)[1] == 18
    assert written(30, overwrite=True)[1] == 18
    PIL.Image.fromarray(textured(50, 60)).save(photo_folder / "place0/0.jpg")
    assert written(30)[1] == 18  # A photo changed.


def test_an_interrupted_overwrite_resumes(photo_folder):
    output = photo_folder.parent / "features"
    write_folder_features(BrightPixels(), output, str(photo_folder))
    extractor, seen = BrightPixels(), []

    def features(photos):
        seen.extend(photos)
        if len(seen) == 5:
            raise KeyboardInterrupt
        return BrightPixels.features(extractor, photos)

    extractor.features = features
    for _ in range(2):
        with contextlib.suppress(KeyboardInterrupt):
            write_folder_features(extractor, output, str(photo_folder), True)
    # The fifth photo is seen twice, the four before it once.
    assert len(seen) == 18 + 1


def test_whitened_features_are_reduced_and_of_their_settings_only():
    extractor = BrightPixels(side=64)
    photo = np.zeros((60, 64, 3), np.uint8)
    photo[10:13, 20:24] = 255
    whitening = LinearWhitening(
        np.array([0.01, 0.02]),
        np.array([[0.6, 0.8]]),
        "pca",
        extractor.provenance,
    )
    (found,) = WhitenedExtractor(extractor, whitening).features([photo])
    (whole,) = extractor.features([photo])
    expected = np.sign((whole.descriptors - [0.01, 0.02]) @ [0.6, 0.8])
    # A vector of 0.002 is normalized to a length of 0.998.
    np.testing.assert_allclose(found.descriptors[:, 0], expected, atol=0.01)
    np.testing.assert_array_equal(found.keypoints, whole.keypoints)
    assert WhitenedExtractor(extractor, whitening).provenance["whitening"]
    with pytest.raises(UserError, match="image"):
        WhitenedExtractor(BrightPixels(side=128), whitening)


def test_any_photo_of_a_folder_has_features_or_none(tmp_path, monkeypatch):
    """One pixel, grey, CMYK, turned by EXIF, and halved by its size."""
    folder = tmp_path / "photos"
    folder.mkdir()
    photo = PIL.Image.fromarray(textured(90, 120))
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    PIL.Image.new("RGB", (1, 1)).save(folder / "pixel.png")
    photo.convert("L").save(folder / "grey.png")
    photo.convert("CMYK").save(folder / "cmyk.jpg", quality=95)
    photo.save(folder / "turned.jpg", exif=exif, quality=95)
    photo.resize((481, 362)).save(folder / "large.jpg", quality=95)
    monkeypatch.setattr(limits, "MAX_PIXELS", 100_000)
    found = write_folder_features(
        single_scale_extractor("rootsift", 60, 512),
        tmp_path / "features",
        str(folder),
    )
    sizes = {name: found[name].size for name in found.names}
    assert sizes == {
        "pixel.png": (1, 1),
        "grey.png": (90, 120),
        "cmyk.jpg": (90, 120),
        "turned.jpg": (120, 90),
        "large.jpg": (362, 481),
    }
    assert len(found["pixel.png"]) == 0
    for name in ("grey.png", "cmyk.jpg", "turned.jpg", "large.jpg"):
        assert len(found[name]) > 10
    # It is decoded at half its sides, and keypoints are in its own pixels.
    assert found["large.jpg"].keypoints[:, 0].max() > 300


def test_an_unreadable_photo_is_named_or_has_no_features(photo_folder):
    (photo_folder / "bad.jpg").write_bytes(b"no photo")
    extractor = single_scale_extractor("rootsift", 20, 512)
    output = photo_folder.parent / "features"
    message = r"bad\.jpg is not a readable photo"
    with pytest.raises(UserError, match=message):
        write_folder_features(extractor, output, str(photo_folder))
    errors = []
    found = write_folder_features(
        extractor, output, str(photo_folder), skip=errors.append
    )
    (error,) = errors
    assert re.search(message, str(error))
    assert not len(found["bad.jpg"])
    assert "place0/0.jpg" in found

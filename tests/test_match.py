"""`agem_tf.match` on two photos that a known homography relates."""

import cv2
import numpy as np
import PIL.Image
import pytest

from agem_tf import match
from agem_tf.errors import UserError

HOMOGRAPHY = np.array([[0.9, 0.08, 12], [-0.06, 0.95, 20], [1e-4, 2e-5, 1.0]])


@pytest.fixture
def photos(tmp_path, drawn_pixels):
    pixels = drawn_pixels(1, 240, 320, 90)
    warped = cv2.warpPerspective(pixels, HOMOGRAPHY, (320, 240))
    paths = []
    for name, photo in (("a", pixels), ("b", warped), ("c", pixels * 0)):
        paths.append(str(tmp_path / f"{name}.png"))
        PIL.Image.fromarray(photo).save(paths[-1])
    return paths


def run(*photos, **options):
    return match.main(
        match.MatchOptions(photos=photos, features="rootsift", **options)
    )


def test_the_transform_is_found_and_drawn(photos, tmp_path, capsys):
    page = tmp_path / "matches.html"
    found = run(*photos[:2], output=str(page))
    corners = np.array([[[0, 0], [320, 0], [320, 240], [0, 240.0]]])
    error = cv2.perspectiveTransform(corners, found.transform)
    error -= cv2.perspectiveTransform(corners, HOMOGRAPHY)
    assert np.abs(error).max() < 2
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{photos[0]}: 320 x 240, ")
    assert f"{found.num_inliers} inliers of a homography" in lines[2]
    assert lines[-1] == f"Drawing: {page}"
    text = page.read_text(encoding="utf-8")
    assert "Matches of two photos" in text and "data:image/jpeg" in text
    picture = tmp_path / "matches.png"
    again = run(*photos[:2], output=str(picture))
    np.testing.assert_array_equal(found.transform, again.transform)
    assert PIL.Image.open(picture).size == (320 + 12 + 320, 240)


@pytest.mark.parametrize("model", ["affine", "fundamental"])
def test_other_models(photos, tmp_path, model):
    output = str(tmp_path / "page.html")
    assert run(*photos[:2], model=model, output=output).num_inliers > 30


def test_a_photo_without_features_matches_nothing(photos, tmp_path, capsys):
    found = run(photos[0], photos[2], output=str(tmp_path / "none.png"))
    assert found.transform is None and found.num_inliers == 0
    assert "no homography agrees" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("count", "options", "message"),
    [
        (1, {}, "Give two photos to match, not 1"),
        (3, {}, "not 3"),
        (2, {"output": "matches.txt"}, r"end it in \.html"),
        (2, {"model": "affine", "estimator": "poselib"}, "no affine"),
    ],
)
def test_mistakes_are_named(photos, count, options, message):
    with pytest.raises(UserError, match=message):
        run(*photos[:count], **options)


def test_an_unreadable_photo_is_named(photos, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"none")
    with pytest.raises(UserError, match=r"bad\.jpg .*; give another one"):
        run(photos[0], str(tmp_path / "bad.jpg"))

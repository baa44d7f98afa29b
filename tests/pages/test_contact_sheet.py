"""Contact sheets, pixel by pixel."""

import numpy as np
import pytest
from PIL import Image

from agem_tf.pages.contact_sheet import contact_sheet


def _photo(height=30, width=50, value=80):
    return np.full((height, width, 3), value, np.uint8)


def test_captions_stay_within_their_tile():
    photos = [_photo(), _photo()]
    bare = np.asarray(contact_sheet(photos, ["", ""], size=90))
    long = np.asarray(contact_sheet(photos, ["W" * 300, ""], size=90))
    changed = np.argwhere((bare != long).any(axis=2))
    assert len(changed)
    assert changed[:, 1].max() < 90
    assert changed[:, 0].min() >= 90


def test_captions_that_differ_at_the_end_look_different():
    folder = "landmarks/" * 30
    first, second = (
        contact_sheet([_photo()], [folder + name], size=90)
        for name in ("photo 1", "photo 2")
    )
    assert np.any(np.asarray(first) != np.asarray(second))


def test_photos_keep_their_aspect_in_a_contact_sheet():
    photos = [_photo(20, 40), Image.fromarray(_photo(40, 20)), _photo(5, 5)]
    sheet = np.asarray(contact_sheet(photos, columns=2, size=60))
    gap = 12
    assert sheet.shape == (2 * 60 + gap, 2 * 60 + gap, 3)
    dark = (sheet == 80).all(axis=2)
    assert dark[:60, :60].sum() == 60 * 30
    assert dark[:60, 60 + gap :].sum() == 30 * 60
    assert dark[60 + gap :, :60].sum() == 60 * 60


def test_captions_must_name_every_photo():
    with pytest.raises(ValueError, match="1 captions and 2 photos"):
        contact_sheet([_photo(), _photo()], ["one"])

"""Pictures and figures, looked at pixel by pixel."""

import numpy as np
import pytest
from PIL import Image

from agem_tf.pages import drawing
from agem_tf.pages.drawing import RankedPhoto

_BLUE, _GREEN = (37, 99, 235), (22, 163, 74)
_GREY, _RED = (156, 163, 175), (220, 38, 38)


def _photo(height=30, width=50, value=80):
    return np.full((height, width, 3), value, np.uint8)


def test_frames_show_the_verdicts():
    verdicts = ["positive", "junk", "negative"]
    results = [
        RankedPhoto(_photo(), verdict, 0.9 - position / 10)
        for position, verdict in enumerate(verdicts)
    ]
    image = drawing.rank_list(_photo(), results, columns=2, size=100)
    gap = 12
    first, second = 100 + 2 * gap, 200 + 3 * gap
    assert image.getpixel((1, 50)) == _BLUE
    assert image.getpixel((first + 1, 50)) == _GREEN
    assert image.getpixel((second + 1, 50)) == _GREY
    next_line = image.height - 1
    while image.getpixel((first + 1, next_line)) != _RED:
        next_line -= 1
    assert next_line > 100
    assert image.getpixel((50, 50)) == (80, 80, 80)


def test_a_query_that_found_nothing_can_be_drawn():
    image = drawing.rank_list(_photo(), [], size=100)
    assert image.getpixel((1, 50)) == _BLUE


def test_captions_stay_within_their_tile():
    photos = [_photo(), _photo()]
    bare = np.asarray(drawing.contact_sheet(photos, ["", ""], size=90))
    long = np.asarray(drawing.contact_sheet(photos, ["W" * 300, ""], size=90))
    changed = np.argwhere((bare != long).any(axis=2))
    assert len(changed)
    assert changed[:, 1].max() < 90
    assert changed[:, 0].min() >= 90


def test_captions_that_differ_at_the_end_look_different():
    folder = "landmarks/" * 30
    first, second = (
        drawing.contact_sheet([_photo()], [folder + name], size=90)
        for name in ("photo 1", "photo 2")
    )
    assert np.any(np.asarray(first) != np.asarray(second))


def test_photos_keep_their_aspect_in_a_contact_sheet():
    photos = [_photo(20, 40), Image.fromarray(_photo(40, 20)), _photo(5, 5)]
    sheet = np.asarray(drawing.contact_sheet(photos, columns=2, size=60))
    gap = 12
    assert sheet.shape == (2 * 60 + gap, 2 * 60 + gap, 3)
    dark = (sheet == 80).all(axis=2)
    assert dark[:60, :60].sum() == 60 * 30
    assert dark[:60, 60 + gap :].sum() == 30 * 60
    assert dark[60 + gap :, :60].sum() == 60 * 60


def test_captions_must_name_every_photo():
    with pytest.raises(ValueError, match="1 captions and 2 photos"):
        drawing.contact_sheet([_photo(), _photo()], ["one"])


def test_heat_colours_the_hot_place_only():
    heat = np.zeros((3, 5))
    heat[2, 0] = 7.0
    photo = _photo(60, 100)
    warm = drawing.overlay(photo, heat)
    assert warm.dtype == np.uint8
    assert warm.shape == photo.shape
    assert warm[-1, 0, 0] > 150
    np.testing.assert_array_equal(warm[:20], photo[:20])
    np.testing.assert_array_equal(warm[:, 40:], photo[:, 40:])


def test_opacity_bounds_the_change():
    heat = np.arange(6.0).reshape(2, 3)
    photo = _photo(20, 30)
    np.testing.assert_array_equal(
        drawing.overlay(photo, heat, opacity=0.0), photo
    )
    strong = drawing.overlay(photo, heat, opacity=0.9).astype(int)
    weak = drawing.overlay(photo, heat, opacity=0.3).astype(int)
    assert np.abs(strong - 80).sum() > 2 * np.abs(weak - 80).sum()


def test_a_constant_map_shows_no_colour():
    heat = np.full((3, 5), 0.5, np.float32)
    heat[1, 2] = np.nextafter(np.float32(0.5), 1)
    photo = _photo(60, 100)
    np.testing.assert_array_equal(drawing.overlay(photo, heat), photo)


def test_curves_leave_out_what_was_not_measured():
    rows = [
        {"epoch": 1, "train_loss": 0.9, "validation_loss": 0.8, "p": None},
        {"epoch": 2, "train_loss": 0.5},
        {"epoch": 3, "train_loss": 0.4, "validation_loss": float("nan")},
    ]
    figure = drawing.training_curves(rows)
    (axes,) = figure.axes
    lines = {line.get_label(): line for line in axes.lines}
    assert lines["training"].get_xdata().tolist() == [1, 2, 3]
    assert lines["validation"].get_ydata().tolist() == [0.8]


def test_curves_have_a_panel_for_each_quantity():
    rows = [
        {"epoch": 1, "train_loss": 0.9, "validation_map": 0.3, "p": 3.0},
        {"epoch": 2, "train_loss": 0.5, "validation_map": 0.4, "p": 2.9},
    ]
    figure = drawing.training_curves(rows)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["Loss", "Mean average precision", "Pooling exponent p"]
    image = drawing.figure_to_image(figure, dots_per_inch=50)
    assert image.mode == "RGB"
    assert image.height == 160
    assert np.asarray(image).std() > 0


def test_no_epochs_make_an_empty_figure():
    image = drawing.figure_to_image(drawing.training_curves([]))
    assert np.all(np.asarray(image) == 255)


def test_unknown_verdicts_are_refused():
    with pytest.raises(ValueError, match="verdict='wrong'"):
        RankedPhoto(_photo(), "wrong", 0.5)

"""Charts of training."""

import numpy as np

from agem_tf.pages.curves import figure_to_image, training_curves


def test_missing_values_are_left_out_of_curves():
    rows = [
        {"epoch": 1, "train_loss": 0.9, "validation_loss": 0.8, "p": None},
        {"epoch": 2, "train_loss": 0.5},
        {"epoch": 3, "train_loss": 0.4, "validation_loss": float("nan")},
    ]
    figure = training_curves(rows)
    (axes,) = figure.axes
    lines = {line.get_label(): line for line in axes.lines}
    assert lines["training"].get_xdata().tolist() == [1, 2, 3]
    assert lines["validation"].get_ydata().tolist() == [0.8]


def test_curves_have_a_panel_for_each_quantity():
    rows = [
        {"epoch": 1, "train_loss": 0.9, "validation_map": 0.3, "p": 3.0},
        {"epoch": 2, "train_loss": 0.5, "validation_map": 0.4, "p": 2.9},
    ]
    figure = training_curves(rows)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["Loss", "Mean average precision", "Pooling exponent p"]
    image = figure_to_image(figure, dots_per_inch=50)
    assert image.mode == "RGB"
    assert image.height == 160
    assert np.asarray(image).std() > 0


def test_no_epochs_make_an_empty_figure():
    image = figure_to_image(training_curves([]))
    assert np.all(np.asarray(image) == 255)

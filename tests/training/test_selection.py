"""The best validation, and how long ago it was."""

from math import nan

import pytest

from agem_tf.training.selection import best_first, epochs_since_best


def rows(key, values):
    return [
        {"epoch": epoch, key: value} for epoch, value in enumerate(values, 1)
    ]


@pytest.mark.parametrize(
    ("key", "values", "order"),
    [
        ("validation_map", [0.3, 0.5, 0.4, 0.5], [4, 2, 3, 1]),
        ("validation_loss", [0.3, 0.5, 0.2], [3, 1, 2]),
        # No query has a positive.
        ("validation_map", [nan, 0.1, nan], [2, 3, 1]),
    ],
)
def test_the_best_come_first_and_of_equals_the_later(key, values, order):
    history = rows(key, values)
    assert [row["epoch"] for row in best_first(history, key)] == order


@pytest.mark.parametrize(
    ("key", "values", "waited"),
    [
        ("validation_map", [], 0),
        ("validation_map", [0.3], 0),
        ("validation_map", [0.3, 0.2, 0.4], 0),
        # As good as before is not better.
        ("validation_map", [0.3, 0.5, 0.4, 0.5], 2),
        ("validation_loss", [0.3, 0.5, 0.2, 0.3], 1),
        ("validation_map", [nan, nan], 1),
    ],
)
def test_epochs_are_counted_from_the_first_of_the_best(key, values, waited):
    assert epochs_since_best(rows(key, values), key) == waited

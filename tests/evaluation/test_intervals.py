"""Bootstrap intervals of means."""

import numpy as np
import pytest

from agem_tf.evaluation.intervals import mean_interval


@pytest.mark.parametrize("count", [40, 20_000])
def test_intervals_hold_the_mean_in_95_of_100_samples(count):
    rng = np.random.default_rng(0)
    held = 0
    for seed in range(60):
        values = rng.beta(2, 3, size=count)
        low, high = mean_interval(values, seed)
        held += low < 0.4 < high
    # 57 are expected, with a standard deviation of 1.7.
    assert held >= 50


def test_the_interval_is_that_of_the_normal_distribution():
    values = np.append(np.random.default_rng(1).normal(size=400), np.nan)
    low, high = mean_interval(values)
    error = 1.96 * np.nanstd(values) / 20
    mean = np.nanmean(values)
    np.testing.assert_allclose(
        [low, high], [mean - error, mean + error], 0, 0.02
    )


def test_too_few_values_have_no_interval():
    assert np.isnan(mean_interval(np.array([0.5, np.nan]))).all()
    assert mean_interval(np.array([0.5, 0.5])) == (0.5, 0.5)

"""Intervals of means: how far scores depend on the choice of queries."""

import numpy as np
from scipy import stats

_RESAMPLES = 10_000
# Numbers held at once by the resampling.
_CHUNK = 5_000_000
# With more values the mean is normally distributed for every purpose here.
_MANY = 10_000


def mean_interval(values: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """Returns the 95 % interval of a mean: a percentile bootstrap.

    Above 10,000 values it is the interval of the normal distribution.

    Args:
        values: (queries,) values; NaN are left out.
        seed: seed of the 10,000 samples with replacement.

    Returns:
        Lower and upper bound; NaN with fewer than two values.

    Reference: Efron and Tibshirani, An Introduction to the Bootstrap, 1993.
    """
    values = values[~np.isnan(values)].astype(np.float64)
    if len(values) < 2:
        return float("nan"), float("nan")
    if len(values) > _MANY:
        low, high = stats.norm.interval(0.95, values.mean(), stats.sem(values))
        return float(low), float(high)
    interval = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=_RESAMPLES,
        batch=_CHUNK // len(values),
        confidence_level=0.95,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(interval.low), float(interval.high)

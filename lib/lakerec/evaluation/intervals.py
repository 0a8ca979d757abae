"""Confidence intervals by bootstrap over users.

Source: Efron and Tibshirani, An introduction to the bootstrap, 1993, chapter 13 (percentile interval).
"""

from __future__ import annotations

import numpy as np
from scipy import stats

LEVEL = 0.95
CELLS_AT_ONCE = 5_000_000
"""Values drawn at a time: memory stays near 40 MB however many users there are."""


def bootstrap_interval(values: np.ndarray, resamples: int, seed: int) -> tuple[float, float]:
    """95 % percentile interval of the mean.

    Args:
        values: one value a user, float [n].
        resamples: how many samples of n users are drawn, with replacement.

    Returns:
        lower and upper end; both NaN without values.
    """
    if not len(values):
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    at_once = max(1, CELLS_AT_ONCE // len(values))
    means = np.concatenate(
        [
            values[rng.integers(0, len(values), (min(at_once, resamples - start), len(values)))].mean(axis=1)
            for start in range(0, resamples, at_once)
        ]
    )
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def interval_over_seeds(values: np.ndarray) -> tuple[float, float, float]:
    """Mean of values over seeds, and the ends of its 95 % t interval; both are the mean where there is one seed."""
    mean = float(values.mean())
    if len(values) < 2:
        return mean, mean, mean
    spread = float(stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return mean, mean - spread, mean + spread

"""Confidence intervals by bootstrap over users.

Source: Efron and Tibshirani, An introduction to the bootstrap, 1993, chapter 13 (percentile interval).
"""

from __future__ import annotations

import numpy as np
from scipy import stats

LEVEL = 0.95
CELLS_AT_ONCE = 2_000_000
"""Draws at a time: memory stays near 50 MB beside the values however many users there are."""


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
    low, high = percentile_interval(resampled_sums(values[:, None], resamples, seed) / len(values))
    return float(low[0]), float(high[0])


def resampled_sums(values: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Sums over the users of each bootstrap sample, float64 [resamples, m]; a sample is the same users in every column.

    A statistic of several sums, such as a ratio, gets its interval from the same function of these.

    Args:
        values: float [n, m], n at least 1.
    """
    rng, users = np.random.default_rng(seed), len(values)
    at_once = max(1, CELLS_AT_ONCE // users)
    sums = np.empty((resamples, values.shape[1]))
    for start in range(0, resamples, at_once):
        samples = min(at_once, resamples - start)
        drawn = rng.integers(0, users, (samples, users)) + np.arange(samples)[:, None] * users
        times = np.bincount(drawn.ravel(), minlength=samples * users).reshape(samples, users)
        sums[start : start + samples] = times.astype(np.float64) @ values
    return sums


def percentile_interval(statistics: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper end of the 95 % percentile interval of each column; float [resamples, m] → two float [m]."""
    low, high = np.nanquantile(statistics, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return low, high


def ratio_interval(over: np.ndarray, under: np.ndarray, resamples: int, seed: int) -> tuple[float, float]:
    """95 % percentile interval of sum(over) / sum(under), a user being drawn with both of theirs.

    Args:
        over, under: one value a user, float [n].
        resamples: as of `bootstrap_interval`; those in which `under` sums to 0 have no ratio and do not count.

    Returns:
        lower and upper end; both NaN where no sample has a ratio.
    """
    sums = resampled_sums(np.column_stack([over, under]), resamples, seed) if len(over) else np.zeros((0, 2))
    some = sums[sums[:, 1] != 0]
    if not len(some):
        return float("nan"), float("nan")
    low, high = percentile_interval(some[:, :1] / some[:, 1:])
    return float(low[0]), float(high[0])


def interval_over_seeds(values: np.ndarray) -> tuple[float, float, float]:
    """Mean of values over seeds, and the ends of its 95 % t interval; both are the mean where there is one seed."""
    mean = float(values.mean())
    if len(values) < 2:
        return mean, mean, mean
    spread = float(stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return mean, mean - spread, mean + spread

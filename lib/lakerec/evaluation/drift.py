"""How far data moved from what it was: of two count vectors, so that Spark counts and the driver compares.

Letters: k = categories or bins, in the same order in both; `reference` is what was before, `current` what came last.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

BINS = 10
"""Groups that numbers are put into, of equal size in the reference."""
SMOOTHING = 0.5
"""Added to every bin, so that an empty one has a share (Jeffreys' prior)."""
MODERATE, SHIFTED = 0.1, 0.25
"""PSI from which on a change is looked into, and from which on it counts as another population."""
LEVEL = 0.95
"""Of what chance alone gives, the part that counts as chance."""


def population_stability_index(reference: np.ndarray, current: np.ndarray) -> float:
    """PSI = Σ (cᵢ − rᵢ) · ln(cᵢ / rᵢ) over the shares r and c of each bin in the reference and now.

    Usual reading: below 0.1 stable, 0.1 to 0.25 moderate, above 0.25 another population.
    Source: N. Siddiqi, Credit risk scorecards, 2006, chapter 9; it is the symmetric Kullback-Leibler divergence.

    Args:
        reference, current: counts, [k]: of categories, or of numbers by `quantile_groups` of the reference.

    Returns:
        0 where the shares are the same; NaN where one side holds nothing.

    >>> round(population_stability_index(np.array([5000, 5000]), np.array([7500, 2500])), 3)
    0.275
    >>> population_stability_index(np.array([10, 30]), np.array([10, 30]))
    0.0
    """
    if not reference.sum() or not current.sum():
        return float("nan")
    before, now = ((counts + SMOOTHING) / (counts.sum() + SMOOTHING * len(counts)) for counts in (reference, current))
    return float(np.sum((now - before) * np.log(now / before)))


def psi_by_chance(reference: int, current: int, bins: int) -> float:
    """The PSI that 19 of 20 pairs of samples stay below though nothing moved: χ²(k − 1) at 0.95 · (1 / n + 1 / m).

    Source: B. Yurdakul, Statistical properties of population stability index, dissertation, 2018, chapter 3.

    Args:
        reference, current: sizes of the samples, n and m.
        bins: k; with one there is nothing to compare, and the answer is 0.

    >>> round(psi_by_chance(100, 100, 2), 4)
    0.0768
    """
    if bins < 2 or not reference or not current:
        return 0.0
    return float(stats.chi2.ppf(LEVEL, bins - 1) * (1 / reference + 1 / current))


def quantile_groups(reference: np.ndarray, groups: int = BINS) -> np.ndarray:
    """Put ordered fine bins into groups of nearly equal counts in the reference; int [k], which group each bin is in.

    A bin goes where its middle event does, so that one that holds a large share is a group of its own, and there may be
    fewer groups than asked for. A bin that the reference has nothing in goes with the one before it; the first and the
    last group are open towards what was never met. Groups are numbered from 0 without gaps.

    >>> quantile_groups(np.array([1, 1, 2, 2, 2]), 4)
    array([0, 0, 1, 2, 3])
    >>> quantile_groups(np.array([97, 1, 1, 1]), 2)
    array([0, 1, 1, 1])
    """
    held = np.flatnonzero(reference)
    if not len(held):
        return np.zeros(len(reference), dtype=np.int64)
    middle = (np.cumsum(reference) - reference / 2)[held] / reference.sum()
    numbered = np.unique((middle * groups).astype(np.int64), return_inverse=True)[1]
    before = np.searchsorted(held, np.arange(len(reference)), side="right") - 1
    placed: np.ndarray = numbered[np.maximum(before, 0)]
    return placed


def kolmogorov_smirnov(reference: np.ndarray, current: np.ndarray) -> tuple[float, float]:
    """Two-sample statistic D = max |R(x) − C(x)| of the distribution functions, and its p value.

    The bins are values in ascending order, the same in both; of values rounded into bins D is a lower bound. The p value
    is the large-sample one of scipy's `ks_2samp`; with ties it errs on the side of no change. With many events any
    difference is significant: read D, the largest part of the events that moved past some value, first.

    Args:
        reference, current: counts, [k].

    Returns:
        D and p; both NaN where one side holds nothing.

    >>> D, p = kolmogorov_smirnov(np.array([2, 1, 1]), np.array([1, 1, 2]))
    >>> D, round(p, 3)
    (0.25, 1.0)
    """
    n, m = int(reference.sum()), int(current.sum())
    if not n or not m:
        return float("nan"), float("nan")
    statistic = float(np.max(np.abs(np.cumsum(reference) / n - np.cumsum(current) / m)))
    return statistic, float(np.clip(stats.kstwo.sf(statistic, _effective(n, m)), 0, 1))


def ks_by_chance(reference: int, current: int) -> float:
    """The D that 19 of 20 pairs of samples of these sizes stay below though nothing moved.

    >>> round(ks_by_chance(1000, 1000), 3)
    0.06
    """
    return float(stats.kstwo.ppf(LEVEL, _effective(reference, current)))


def _effective(n: int, m: int) -> int:
    """Size of the one sample that D of two samples is distributed like."""
    return max(1, round(n * m / (n + m)))

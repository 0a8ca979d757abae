"""Whether one model beats another on the same users, and where it is worse. Letters: n = users, B = resamples.

    values of both, a user each ─ paired bootstrap ─► gain, its interval, how often it is above a bound
    the same on each slice      ─ p values, Holm   ─► slices where the challenger is worse beyond chance

Pairs matter: users differ far more from each other than two models do on one user.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from lakerec.evaluation.intervals import percentile_interval, resampled_sums
from lakerec.evaluation.slices import LEAST_USERS

WRONG = 0.05
"""Chance that a slice is called worse though none is, over all of them together."""

Pair = tuple[np.ndarray, np.ndarray]
"""Values of challenger and champion for the same users, float64 [n] each."""


@dataclass(frozen=True)
class Gain:
    """How much better a challenger is than a champion, with a 95 % interval over users."""

    value: float
    """Mean of the challenger's values less that of the champion's."""
    ci_low: float
    ci_high: float
    certainty: float
    """Share of the resamples in which the gain is above the bound that was asked for."""
    n: int


@dataclass(frozen=True)
class SliceTest:
    """The comparison on one slice."""

    name: str
    challenger: float
    champion: float
    gain: Gain
    p: float
    """Chance of so bad a result where the challenger loses no more than it may."""
    tolerance: float
    """Share of the champion's value that it may lose."""
    p_adjusted: float
    """The same as p over all slices together, by Holm."""

    @property
    def worse(self) -> bool:
        """Whether it is worse than it may be, beyond chance."""
        return self.p_adjusted < WRONG


def paired_gain(pair: Pair, bound: float, resamples: int, seed: int) -> Gain:
    """Paired bootstrap over users of the difference of two means.

    Source: Efron and Tibshirani, An introduction to the bootstrap, 1993, chapter 13; for rankings Sakai, Evaluating
    evaluation metrics based on the bootstrap, SIGIR 2006.

    Args:
        bound: how large the gain has to be.
        resamples: B.

    >>> gain = paired_gain((np.full(4, 0.5), np.full(4, 0.25)), 0.2, 100, 1)
    >>> gain.value, gain.ci_low, gain.certainty
    (0.25, 0.25, 1.0)
    """
    difference = np.asarray(pair[0], np.float64) - np.asarray(pair[1], np.float64)
    if not len(difference):
        return Gain(np.nan, np.nan, np.nan, 0.0, 0)
    means = resampled_sums(difference[:, None], resamples, seed) / len(difference)
    low, high = percentile_interval(means)
    return Gain(float(difference.mean()), float(low[0]), float(high[0]), float((means > bound).mean()), len(difference))


def holm(p: np.ndarray) -> np.ndarray:
    """P values of several tests together: the chance that any of the rejected ones is wrong stays below the level.

    Source: S. Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6, 1979.

    >>> holm(np.array([0.01, 0.04, 0.03]))
    array([0.03, 0.06, 0.06])
    """
    order = np.argsort(p, kind="stable")
    raised = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    found = np.empty(len(p))
    found[order] = np.minimum(raised, 1.0)
    return found


def slice_tests(slices: Mapping[str, Pair], tolerance: float, resamples: int, seed: int) -> list[SliceTest]:
    """Where the challenger is worse than the champion by more than it may be, by slices of `LEAST_USERS` or more.

    The p value is that of a one-sided paired t test: Holm over many slices asks for p values far below 1 / B, and of means
    over users the bootstrap gives the same ones (Smucker, Allan and Carterette, A comparison of statistical significance
    tests for information retrieval evaluation, CIKM 2007).

    Args:
        tolerance: share of the champion's value that a slice may lose.
        resamples: B, behind the intervals.
    """
    found = []
    for number, (name, (challenger, champion)) in enumerate(slices.items()):
        if len(challenger) >= LEAST_USERS:
            gain = paired_gain((challenger, champion), 0.0, resamples, seed + number)
            p = _chance_of_less(challenger - (1 - tolerance) * champion)
            found.append((name, float(challenger.mean()), float(champion.mean()), gain, p, tolerance))
    adjusted = holm(np.array([each[4] for each in found]))
    return [SliceTest(*each, float(p)) for each, p in zip(found, adjusted, strict=True)]


def _chance_of_less(excess: np.ndarray) -> float:
    """Of a mean so far below 0, where it is 0 in truth."""
    if not np.ptp(excess):
        return 0.0 if excess[0] < 0 else 1.0
    return float(stats.ttest_1samp(excess, 0.0, alternative="less").pvalue)

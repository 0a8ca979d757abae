"""Whether two samples of vectors come from one population: kernel two-sample test, and how far apart their centres are.

    before [n, d], now [m, d] → Gaussian kernel of all pairs → MMD² → the same of random divisions into n and m → p

Source: Gretton, Borgwardt, Rasch, Schölkopf and Smola, A kernel two-sample test, JMLR 2012: the unbiased MMD² (lemma 6), the
median of the distances between rows as the kernel's width (section 8).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lakerec.evaluation.drift import LEVEL
from lakerec.vectors import unit

PERMUTATIONS = 500
ROUNDING = 1e-9
"""Differences of MMD² that come of the order of sums."""


class Discrepancy(NamedTuple):
    """How far two samples are apart."""

    mmd: float
    """MMD², unbiased: about 0 where they are of one population (it may be a little below), 2 at most."""
    chance: float
    """What 19 of 20 random divisions of both stay below."""
    p: float
    """Share of random divisions that are as far apart, this one among them."""


def discrepancy(before: np.ndarray, now: np.ndarray, seed: int, permutations: int = PERMUTATIONS) -> Discrepancy:
    """MMD² of two samples with a Gaussian kernel, and its p value by permutation.

    The p value takes the rows for independent, which several events of one user are not: with many rows a small
    difference is significant, so read MMD² first. It grows with the square of the share that moved.

    Args:
        before, now: rows, [n, d] and [m, d], two of each at least.

    >>> rng = np.random.default_rng(1)
    >>> same = discrepancy(rng.normal(size=(80, 3)), rng.normal(size=(60, 3)), seed=1)
    >>> moved = discrepancy(rng.normal(size=(80, 3)), rng.normal(1, size=(60, 3)), seed=1)
    >>> same.p > 0.05, moved.p < 0.01, moved.mmd > moved.chance
    (True, True, True)
    """
    n, whole = len(before), len(before) + len(now)
    rng = np.random.default_rng(seed)
    chosen = np.zeros((whole, permutations + 1))
    chosen[:n, 0] = 1
    for column in range(1, permutations + 1):
        chosen[rng.choice(whole, n, replace=False), column] = 1
    found = _squared_mmd(_kernel(np.concatenate([before, now]).astype(np.float64)), chosen)
    p = float(np.mean(found >= found[0] - ROUNDING))
    return Discrepancy(float(found[0]), float(np.quantile(found[1:], LEVEL)), p)


def _kernel(rows: np.ndarray) -> np.ndarray:
    """exp(−‖x − y‖² / 2σ²) of all pairs, σ² the median of ‖x − y‖² of rows that differ; zeros on the diagonal."""
    lengths = np.sum(rows**2, axis=1)
    squared = np.maximum(lengths[:, None] + lengths[None, :] - 2 * rows @ rows.T, 0)
    apart = squared[squared > ROUNDING]
    width = float(np.median(apart)) if len(apart) else 1.0
    kernel: np.ndarray = np.exp(-squared / (2 * width))
    np.fill_diagonal(kernel, 0)
    return kernel


def _squared_mmd(kernel: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """MMD² of each division, float64 [divisions].

    Args:
        kernel: [n + m, n + m], zeros on the diagonal.
        chosen: [n + m, divisions]: 1 where a row is of the first sample.
    """
    n = chosen[:, 0].sum()
    m = len(kernel) - n
    first = np.sum(chosen * (kernel @ chosen), axis=0)
    touching = kernel.sum(axis=1) @ chosen
    second = kernel.sum() - 2 * touching + first
    return np.asarray(first / (n * (n - 1)) + second / (m * (m - 1)) - 2 * (touching - first) / (n * m))


def centroid_cosine(before: np.ndarray, now: np.ndarray) -> float:
    """Cosine of the two samples' mean vectors.

    >>> centroid_cosine(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[2.0, 2.0]]))
    1.0
    """
    one, other = (unit(rows.mean(axis=0, keepdims=True).astype(np.float64))[0] for rows in (before, now))
    return round(float(one @ other), 12)


def draw(counts: np.ndarray, most: int, seed: int) -> np.ndarray:
    """At most so many events, drawn without replacement from items with these counts; the item of each, int [≤ most].

    >>> draw(np.array([2, 0, 1]), 10, seed=1)
    array([0, 0, 2])
    """
    total = int(counts.sum())
    places = np.random.default_rng(seed).choice(total, min(most, total), replace=False, shuffle=False)
    return np.searchsorted(np.cumsum(counts), np.sort(places), side="right")

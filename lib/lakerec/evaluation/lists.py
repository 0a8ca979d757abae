"""Ranked lists against held-out targets: rows of eval/metrics.

recommended [n, depth], targets → hits [n, depth] → metrics per user → mean and interval, per slice
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lakerec.columns import Metrics
from lakerec.evaluation.intervals import bootstrap_interval
from lakerec.evaluation.metrics import PER_USER, coverage

ALL = "all"


@dataclass(frozen=True)
class MetricRow:
    """One figure of one model."""

    model: str
    slice: str
    metric: str
    k: int
    value: float
    ci_low: float | None
    ci_high: float | None
    n: int


def hit_matrix(recommended: np.ndarray, offsets: np.ndarray, targets: np.ndarray, num_items: int) -> np.ndarray:
    """Whether each place holds one of its user's targets, bool [n, depth].

    Args:
        recommended: int [n, depth]; -1 where a list is shorter.
        offsets: int [n + 1]; user i's targets are targets[offsets[i]:offsets[i + 1]].
    """
    users = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    wanted = np.sort(users * num_items + targets)
    asked = np.arange(len(recommended))[:, None] * num_items + recommended
    place = np.minimum(np.searchsorted(wanted, asked), max(0, len(wanted) - 1))
    found = wanted[place] == asked if len(wanted) else np.zeros(asked.shape, dtype=bool)
    return found & (recommended >= 0)


def per_user(
    recommended: np.ndarray, offsets: np.ndarray, targets: np.ndarray, num_items: int, metric: str, k: int
) -> np.ndarray:
    """One metric of `PER_USER` at k, float64 [n]; arguments as `hit_matrix`, every user with a target.

    >>> per_user(np.array([[3, 1], [0, 2]]), np.array([0, 1, 3]), np.array([1, 2, 3]), 4, "recall", 2)
    array([1. , 0.5])
    """
    return PER_USER[metric](hit_matrix(recommended, offsets, targets, num_items), np.diff(offsets), k)


def evaluate_lists(
    model: str,
    recommended: np.ndarray,
    offsets: np.ndarray,
    targets: np.ndarray,
    num_items: int,
    ks: Sequence[int],
    resamples: int,
    seed: int,
    slices: Mapping[str, np.ndarray] | None = None,
) -> list[MetricRow]:
    """All metrics at every k, on all users and on each slice (bool [n]); coverage on all users only."""
    hits = hit_matrix(recommended, offsets, targets, num_items)
    sizes = np.diff(offsets)
    rows = []
    for name, chosen in {ALL: np.ones(len(hits), dtype=bool), **(slices or {})}.items():
        if not chosen.any():
            continue
        for k in ks:
            for metric, function in PER_USER.items():
                values = function(hits[chosen], sizes[chosen], k)
                low, high = bootstrap_interval(values, resamples, seed)
                rows.append(MetricRow(model, name, metric, k, float(values.mean()), low, high, int(chosen.sum())))
            if name == ALL:
                shown = coverage(recommended, num_items, k)
                rows.append(MetricRow(model, ALL, Metrics.COVERAGE, k, shown, None, None, num_items))
    return rows

"""Ranked lists against held-out targets: rows of eval/metrics.

    lists [users, depth], some users at a time
      → user_figures: hits → a number a user, metric and k             (in Spark too: `lakerec.stages.user_figures`)
      → Figures: float64 [n] each, and how often each item was shown; the lists themselves are not kept
      → rows: mean and 95 % bootstrap interval, of all users and of each slice

What is kept of n users does not depend on the length of the lists or on the catalogue: 8 bytes a user, metric and k.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lakerec.columns import Metrics
from lakerec.evaluation.beyond import Catalogue, beyond_figures, coverage, gini, popularity_lift, shown_counts
from lakerec.evaluation.intervals import percentile_interval, resampled_sums
from lakerec.evaluation.metrics import PER_USER

ALL = "all"
Key = tuple[str, str, int]
"""Slice of items (`ALL`: every target), metric, k."""


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
    return PER_USER[metric](hit_matrix(recommended[:, :k], offsets, targets, num_items), np.diff(offsets), k)


def user_figures(
    recommended: np.ndarray,
    offsets: np.ndarray,
    targets: np.ndarray,
    num_items: int,
    ks: Sequence[int],
    catalogue: Catalogue | None = None,
    members: Mapping[str, np.ndarray] | None = None,
) -> dict[Key, np.ndarray]:
    """Every metric that is a number a user, float64 [n], NaN where it is not defined; arguments as `hit_matrix`.

    Args:
        catalogue: None: only what hits tell.
        members: slices of items, bool [num_items]; of each, what hits tell of the targets in it.
    """
    recommended = recommended[:, : max(ks)]
    hits = hit_matrix(recommended, offsets, targets, num_items)
    users = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    found: dict[Key, np.ndarray] = {}
    for name, inside in {ALL: np.ones(num_items, dtype=bool), **(members or {})}.items():
        sizes = np.bincount(users[inside[targets]], minlength=len(offsets) - 1)
        own = hits & inside[recommended]
        for k in ks:
            for metric, function in PER_USER.items():
                found[name, metric, k] = np.where(sizes > 0, function(own, np.maximum(sizes, 1), k), np.nan)
    if catalogue is not None:
        for k in ks:
            told = beyond_figures(recommended, hits, catalogue, k)
            found |= {(ALL, metric, k): each for metric, each in told.items()}
    return found


class Figures:
    """What is kept of one model's lists.

    Args:
        offsets, targets: of all n users, as `hit_matrix`.
        catalogue, members: as `user_figures`.
        met: mean popularity of the items in each user's history, float [n], NaN for a stranger; None: no popularity lift.
    """

    def __init__(
        self,
        offsets: np.ndarray,
        targets: np.ndarray,
        num_items: int,
        ks: Sequence[int],
        catalogue: Catalogue | None = None,
        members: Mapping[str, np.ndarray] | None = None,
        met: np.ndarray | None = None,
    ) -> None:
        self.offsets, self.targets, self.num_items, self.ks = offsets, targets, num_items, ks
        self.catalogue, self.members, self.met = catalogue, members or {}, met
        self.values: dict[Key, np.ndarray] = {}
        self.shown = {k: np.zeros(num_items, dtype=np.int64) for k in ks}

    def add(self, start: int, recommended: np.ndarray) -> None:
        """The lists of users start, start + 1, …; int [users, depth]."""
        offsets = self.offsets[start : start + len(recommended) + 1]
        targets = self.targets[offsets[0] : offsets[-1]]
        rest = (self.num_items, self.ks, self.catalogue, self.members)
        for key, values in user_figures(recommended, offsets - offsets[0], targets, *rest).items():
            if key not in self.values:
                self.values[key] = np.full(len(self.offsets) - 1, np.nan)
            self.values[key][start : start + len(recommended)] = values
        for k in self.ks:
            self.shown[k] += shown_counts(recommended, self.num_items, k)

    def per_user(self, part: str = ALL) -> dict[tuple[str, int], np.ndarray]:
        """What hits tell of the targets in a slice of items, float64 [n] by metric and k."""
        return {(metric, k): self.values[part, metric, k] for metric in PER_USER for k in self.ks}

    def rows(self, model: str, resamples: int, seed: int, slices: Mapping[str, np.ndarray] | None = None) -> list[MetricRow]:
        """All metrics of all users; what hits tell of each slice of items, and of each slice of users (bool [n])."""
        whole = {key[1:]: each for key, each in self.values.items() if key[0] == ALL and key[1] != Metrics.POPULARITY}
        rows = mean_rows(model, ALL, whole, resamples, seed)
        rows += [row for k in self.ks for row in self._of_the_catalogue(model, k, resamples, seed)]
        for part in self.members:
            rows += mean_rows(model, part, self.per_user(part), resamples, seed)
        for name, chosen in (slices or {}).items():
            rows += mean_rows(model, name, {key: each[chosen] for key, each in self.per_user().items()}, resamples, seed)
        return rows

    def _of_the_catalogue(self, model: str, k: int, resamples: int, seed: int) -> list[MetricRow]:
        rows = [
            MetricRow(model, ALL, metric, k, function(self.shown[k]), None, None, self.num_items)
            for metric, function in ((Metrics.COVERAGE, coverage), (Metrics.GINI, gini))
        ]
        if self.catalogue is not None and self.met is not None:
            listed = self.values[ALL, Metrics.POPULARITY, k]
            both = np.isfinite(listed) & np.isfinite(self.met)
            if both.any():
                lift = popularity_lift(listed[both], self.met[both], resamples, seed)
                rows.append(MetricRow(model, ALL, Metrics.POPULARITY_LIFT, k, *lift, int(both.sum())))
        return rows


def mean_rows(
    model: str, part: str, values: Mapping[tuple[str, int], np.ndarray], resamples: int, seed: int
) -> list[MetricRow]:
    """Means over the users who have a value, with 95 % bootstrap intervals; no row where nobody has.

    Args:
        values: float [n] by metric and k; NaN for who has none.
    """
    rows = []
    masks = {key: np.isfinite(each) for key, each in values.items()}
    for has in {mask.tobytes(): mask for mask in masks.values() if mask.any()}.values():
        same = {key: values[key][has] for key, mask in masks.items() if np.array_equal(mask, has)}
        lows, highs = percentile_interval(resampled_sums(np.column_stack(list(same.values())), resamples, seed) / has.sum())
        for ((metric, k), own), low, high in zip(same.items(), lows, highs, strict=True):
            rows.append(MetricRow(model, part, metric, k, float(own.mean()), float(low), float(high), len(own)))
    return rows


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
    """What hits tell at every k, of all users and of each slice (bool [n]), and how the lists cover the catalogue."""
    figures = Figures(offsets, targets, num_items, ks)
    figures.add(0, recommended)
    return figures.rows(model, resamples, seed, slices)

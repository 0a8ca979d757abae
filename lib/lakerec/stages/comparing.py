"""A registered version on the present test: a value a user, in each slice, what its lists cover, and how long one takes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lakerec.evaluation.beyond import coverage, shown_counts
from lakerec.evaluation.lists import ALL, per_user
from lakerec.evaluation.significance import Pair
from lakerec.models.data import Histories, Holdout
from lakerec.models.protocol import Recommender
from lakerec.models.topk import recommend
from lakerec.registry.loading import registered
from lakerec.stages import arrays
from lakerec.stages.base import Context
from lakerec.stages.evaluate import HeldOut, lists

TIMED, WARM = 20, 3
"""Lists of single users that are timed, and those made before."""


@dataclass(frozen=True)
class Present:
    """Today's test: users, what is held out of each, and which of them and of it make a slice."""

    users: np.ndarray
    """user_id, object [n]."""
    holdout: Holdout
    ids: np.ndarray
    """External item ids by today's index."""
    slices: Mapping[str, tuple[np.ndarray, Histories]]
    """Name → places of its users, int [m], and their targets in it."""

    @classmethod
    def of(cls, test: HeldOut) -> Present:
        """With the slices of users, groups and items that evaluate reports."""
        targets, num_items = test.holdout.targets, len(test.ids)
        users = {ALL: np.ones(len(test.users), dtype=bool), **test.slices.of_users}
        slices = {name: (np.flatnonzero(chosen), targets.take(np.flatnonzero(chosen))) for name, chosen in users.items()}
        for name, items in test.slices.items.items():
            inside = targets.only(np.flatnonzero(items), num_items)
            own = np.flatnonzero(inside.lengths)
            slices[name] = (own, inside.take(own))
        return cls(test.users, test.holdout, test.ids, slices)

    def without(self, users: frozenset[str]) -> Present:
        """The test of the other users."""
        kept = np.array([user not in users for user in self.users])
        place = np.cumsum(kept) - 1
        parts = {name: (np.flatnonzero(kept[own]), own, targets) for name, (own, targets) in self.slices.items()}
        slices = {name: (place[own[rest]], targets.take(rest)) for name, (rest, own, targets) in parts.items()}
        return Present(self.users[kept], self.holdout.take(np.flatnonzero(kept)), self.ids, slices)


@dataclass(frozen=True)
class Measured:
    """What was measured of one version."""

    values: Mapping[str, np.ndarray]
    """Slice → the metric of each of its users, float64 [m]; `all` among them."""
    coverage: float
    latency_ms: float
    unscored: int
    """Users with a score that is no number."""

    @property
    def value(self) -> float:
        """Mean over all users."""
        return float(self.values[ALL].mean())


def measure(context: Context, name: str, version: str, test: Present) -> Measured:
    """Rank the catalogue for the test users; items are matched by their external ids."""
    config = context.config
    model, its_ids = registered(context.tracker, name, version)
    there, back = arrays.renumbering(test.ids, its_ids), arrays.renumbering(its_ids, test.ids)
    histories, hidden = test.holdout.histories.renumbered(there), np.flatnonzero(back < 0)
    found, scores = lists(model, histories, config.promote.k, len(its_ids), hidden)
    shown = np.where(found >= 0, back[found], -1)
    rest = (len(test.ids), config.promote.metric, config.promote.k)
    values = {
        slice_: per_user(shown[users], targets.offsets, targets.items, *rest)
        for slice_, (users, targets) in test.slices.items()
    }
    return Measured(
        values,
        coverage(shown_counts(shown, len(test.ids), config.promote.k)),
        latency(model, histories, config.promote.k, len(its_ids), hidden),
        int(np.isnan(scores).any(axis=1).sum()),  # top-k puts what is no number first
    )


def pairs(challenger: Measured, champion: Measured) -> dict[str, Pair]:
    """Slice → values of both for its users."""
    return {name: (values, champion.values[name]) for name, values in challenger.values.items()}


def latency(model: Recommender, histories: Histories, k: int, num_items: int, hidden: np.ndarray) -> float:
    """Milliseconds for the list of one user who is asked for alone, the median over some; 0 without users."""
    found = []
    for user in range(min(WARM + TIMED, len(histories))):
        one = histories.take(np.array([user]))
        start = time.perf_counter()
        list(recommend(model, one, k, num_items, hidden))
        found.append(1000 * (time.perf_counter() - start))
    timed = found[WARM:] or found
    return float(np.median(timed)) if timed else 0.0

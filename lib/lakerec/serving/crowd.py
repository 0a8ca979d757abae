"""What can be said of an item by how many people chose it: where nothing of a user's own history speaks for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from lakerec.models.data import DAY, Histories

RECENT_DAYS = 7
TOP, TOP_SHARE = 10, 0.01
"""Items that count as the most popular: so many, or that share of the catalogue where it is more."""
LEAST_PEOPLE = 5
"""Of whom anything is said."""
LIFT = 1.2
"""How much more common an item is in a segment that it counts as popular in."""


@dataclass(frozen=True)
class Crowd:
    """Counts of people by item."""

    people: np.ndarray
    """int [num_items]: who chose it."""
    leaders: np.ndarray
    """bool [num_items]: the most popular of the last `RECENT_DAYS` days of the log."""
    popular: Mapping[int, np.ndarray]
    """bool [num_items] by segment: more common in it than with all people."""
    names: Mapping[int, str]
    """Of segments."""

    @classmethod
    def of(cls, histories: Histories, num_items: int, segments: np.ndarray, names: Mapping[int, str]) -> Crowd:
        """Count.

        Args:
            segments: int [n], of each history's user; -1: none.
        """
        met = histories.matrix(num_items)
        people = np.asarray(met.sum(axis=0)).ravel()
        recent = histories.where(histories.times > histories.times.max(initial=0) - RECENT_DAYS * DAY)
        return cls(people.astype(int), _leaders(recent, num_items), _popular(met, people, segments, names), names)

    def words(self, item: int, segment: int) -> str:
        """The most particular that holds of the item."""
        if segment in self.popular and self.popular[segment][item]:
            return f"popular in your segment ({self.names[segment]})"
        if self.leaders[item]:
            count = self.leaders.sum()
            which = "the most popular item" if count == 1 else f"one of the {count} most popular items"
            return f"{which} of the last {RECENT_DAYS} days"
        if self.people[item] >= LEAST_PEOPLE:
            return f"{self.people[item]:,} people have chosen it"
        return "few people have chosen it yet"


def _leaders(recent: Histories, num_items: int) -> np.ndarray:
    """Those of most people, among whom the last has as many as the next; none that nobody chose. bool [num_items]"""
    counts = np.asarray(recent.matrix(num_items).sum(axis=0)).ravel()
    place = max(TOP, int(num_items * TOP_SHARE))
    floor = np.sort(counts)[-place] if place <= num_items else 0
    found: np.ndarray = (counts >= max(floor, LEAST_PEOPLE)) & (counts > 0)
    return found


def _popular(
    met: sparse.csr_matrix, people: np.ndarray, segments: np.ndarray, names: Mapping[int, str]
) -> dict[int, np.ndarray]:
    found = {}
    for segment in names:
        own = met[segments == segment]
        inside = np.asarray(own.sum(axis=0)).ravel()
        expected = people * own.shape[0] / max(1, met.shape[0])
        found[segment] = (inside >= LEAST_PEOPLE) & (inside >= LIFT * expected)
    return found

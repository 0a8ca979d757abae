"""Figures out of counts of counts: how many users (items, sessions) have how many events.

There are at most √(2 · events) different sizes, so such a table is small however many users there are, and loses nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.integrate import trapezoid


@dataclass(frozen=True)
class Tally:
    """Sizes in ascending order, and how many have each."""

    sizes: np.ndarray
    """Events of one, int64 [k]."""
    counts: np.ndarray
    """How many users (items, sessions) have so many, int64 [k]."""

    @classmethod
    def of(cls, pairs: Iterable[tuple[int, int]]) -> Tally:
        """From (size, how many) in any order."""
        rows = np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)
        return cls(rows[:, 0], rows[:, 1])

    @property
    def number(self) -> int:
        """How many there are."""
        return int(self.counts.sum())

    @property
    def total(self) -> int:
        """Events of all of them."""
        return int((self.sizes * self.counts).sum())

    def quantile(self, share: float) -> int:
        """The least size that this share of them does not exceed; 0 where there are none.

        >>> [Tally.of([(1, 5), (2, 4), (50, 1)]).quantile(share) for share in (0.5, 0.9, 1)]
        [1, 2, 50]
        """
        if not self.number:
            return 0
        place = int(np.searchsorted(np.cumsum(self.counts), share * self.number - 1e-9))
        return int(self.sizes[min(place, len(self.sizes) - 1)])

    def at_most(self, size: int) -> float:
        """Share of them with so many events or fewer.

        >>> Tally.of([(1, 5), (2, 4), (50, 1)]).at_most(5)
        0.9
        """
        return float(self.counts[self.sizes <= size].sum() / max(1, self.number))

    def lorenz(self) -> tuple[np.ndarray, np.ndarray]:
        """Share of them, largest first, and the share of all events that these have; both float [k + 1], from 0 to 1."""
        people = np.cumsum(self.counts[::-1]) / max(1, self.number)
        events = np.cumsum((self.sizes * self.counts)[::-1]) / max(1, self.total)
        return np.concatenate([[0.0], people]), np.concatenate([[0.0], events])

    def share_of_top(self, share: float) -> float:
        """Share of all events that the largest of them have.

        >>> round(Tally.of([(1, 9), (11, 1)]).share_of_top(0.1), 6)
        0.55
        """
        return float(np.interp(share, *self.lorenz()))

    def gini(self) -> float:
        """Gini's coefficient: 0 where all have the same, near 1 where one has all; twice the area between the Lorenz
        curve and the diagonal (C. Gini, Variabilità e mutabilità, 1912).

        >>> round(Tally.of([(1, 9), (11, 1)]).gini(), 6)
        0.45
        """
        people, events = self.lorenz()
        return float(trapezoid(events, people)) * 2 - 1

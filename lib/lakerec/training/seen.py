"""How much of each user's history an earlier fit learned from: what is new begins behind it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PARTS = ("users", "events")


@dataclass(frozen=True)
class Seen:
    """Events at the beginning of a history that were learned from, by user; of a user who is not listed, none."""

    users: np.ndarray
    """Dense ids, int, rising."""
    events: np.ndarray
    """int, as many."""

    def of(self, users: np.ndarray) -> np.ndarray:
        """Events seen of each of these users, int64 [n]."""
        if not len(self.users):
            return np.zeros(len(users), dtype=np.int64)
        place = np.minimum(np.searchsorted(self.users, users), len(self.users) - 1)
        return np.where(self.users[place] == users, self.events[place], 0).astype(np.int64)

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """What `from_arrays` takes, to lie beside other arrays."""
        return {f"{name}.{part}": getattr(self, part) for part in PARTS}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], name: str) -> Seen:
        """What `arrays` gave under the name."""
        return cls(*(arrays[f"{name}.{part}"] for part in PARTS))

"""What models learn from and are asked about: histories in compressed rows, item vectors, held-out targets.

offsets [n + 1]   history i is items[offsets[i]:offsets[i + 1]], oldest event first
items   [total]   dense item ids, 0 .. num_items - 1
times   [total]   epoch seconds, UTC
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

DAY = 86_400
LEAST_WEIGHT = 1e-6
"""Of a decayed interaction."""


@dataclass(frozen=True)
class Recency:
    """How much less the older events of a history say about what comes next; 0: as much as the newest."""

    events: float = 0.0
    """Events after which an older one counts half."""
    days: float = 0.0
    """Days after which an older one counts half."""


EVENLY = Recency()


@dataclass(frozen=True)
class Histories:
    """n histories in one pair of arrays."""

    offsets: np.ndarray
    items: np.ndarray
    times: np.ndarray

    @classmethod
    def from_lists(cls, items: Sequence[Sequence[int]], times: Sequence[Sequence[int]] | None = None) -> Histories:
        """Histories from lists; without times, an event's time is its position."""
        lengths = np.array([len(row) for row in items], dtype=np.int64)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        flat = np.concatenate([np.asarray(row, dtype=np.int32) for row in items]) if len(items) else np.zeros(0, np.int32)
        if times is None:
            return cls(offsets, flat.astype(np.int32), (np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)))
        stamps = np.concatenate([np.asarray(row, dtype=np.int64) for row in times]) if len(times) else np.zeros(0, np.int64)
        return cls(offsets, flat.astype(np.int32), stamps)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Events of each history, int64 [n]."""
        return np.diff(self.offsets)

    @property
    def rows(self) -> np.ndarray:
        """The history that each event belongs to, int64 [total]."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @property
    def ago(self) -> np.ndarray:
        """How many events came after each one in its history, int64 [total]."""
        return np.repeat(self.offsets[1:], self.lengths) - np.arange(len(self.items)) - 1

    def row(self, index: int) -> np.ndarray:
        """Items of one history."""
        return self.items[self.offsets[index] : self.offsets[index + 1]]

    def take(self, indices: np.ndarray) -> Histories:
        """The histories at `indices`, in that order."""
        lengths = self.lengths[indices]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        events = np.repeat(self.offsets[:-1][indices] - offsets[:-1], lengths) + np.arange(offsets[-1])
        return Histories(offsets, self.items[events], self.times[events])

    def where(self, kept: np.ndarray) -> Histories:
        """The same histories without their other events; kept: bool [total]."""
        lengths = np.bincount(self.rows[kept], minlength=len(self))
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return Histories(offsets, self.items[kept], self.times[kept])

    def parts(self, at_once: int) -> Iterator[tuple[slice, Histories]]:
        """The same histories, at most `at_once` at a time: which, and those.

        >>> [(part.start, own.items.tolist()) for part, own in Histories.from_lists([[4], [5, 6], [7]]).parts(2)]
        [(0, [4, 5, 6]), (2, [7])]
        """
        for start in range(0, len(self), at_once):
            part = slice(start, min(start + at_once, len(self)))
            yield part, self.take(np.arange(part.start, part.stop))

    def last(self, length: int) -> Histories:
        """The newest `length` events of each history."""
        return self.where(self.ago < length)

    def distinct(self, num_items: int) -> Histories:
        """Each item that a history met once, as the last event of it; oldest first."""
        kept = np.zeros(len(self.items), dtype=bool)
        kept[self._last_events(num_items)] = True
        return self.where(kept)

    def renumbered(self, ids: np.ndarray) -> Histories:
        """The same histories in another index's ids; items that it does not know are left out.

        Args:
            ids: int [num_items], the new id of each item, -1 where there is none.
        """
        items = ids[self.items]
        return replace(self, items=items.astype(np.int32)).where(items >= 0)

    def only(self, items: np.ndarray, num_items: int) -> Histories:
        """The same histories without all other items; items: int [m]."""
        ids = np.full(num_items, -1)
        ids[items] = items
        return self.renumbered(ids)

    def padded(self, length: int, pad: int) -> np.ndarray:
        """The newest `length` items of each history, int64 [n, length], padded on the right."""
        short = self.last(length)
        return short._side_by_side(short.items, length, pad)

    def padded_times(self, length: int) -> np.ndarray:
        """When these came, epoch seconds, int64 [n, length]; zeros on the right."""
        short = self.last(length)
        return short._side_by_side(short.times, length, 0)

    def _side_by_side(self, values: np.ndarray, length: int, pad: int) -> np.ndarray:
        """A row a history of at most `length` events."""
        block = np.full((len(self), length), pad, dtype=np.int64)
        block[self.rows, np.arange(len(values)) - np.repeat(self.offsets[:-1], self.lengths)] = values
        return block

    def matrix(self, num_items: int, half_life_days: float = 0.0) -> sparse.csr_matrix:
        """User × item matrix of what was met, float32 [n, num_items].

        Args:
            half_life_days: 0: an item that was met is 1. Otherwise it is 0.5 ** (age / half_life_days), by the days between
                the last time it was met and the newest event of all histories; `LEAST_WEIGHT` at least: it stays met.
        """
        if half_life_days:
            return self._last_met(num_items, (self.times.max(initial=0) - self.times) / (DAY * half_life_days))
        ones = np.ones(len(self.items), dtype=np.float32)
        met = sparse.csr_matrix((ones, (self.rows, self.items)), shape=(len(self), num_items))
        met.data[:] = 1.0
        return met

    def by_recency(self, num_items: int, recency: Recency) -> sparse.csr_matrix:
        """The same, each item weighed by the last time that its own user met it: the newest event of a history is 1."""
        if recency == EVENLY:
            return self.matrix(num_items)
        halvings = np.zeros(len(self.items))
        if recency.events:
            halvings += self.ago / recency.events
        if recency.days:
            newest = np.repeat(self.times[np.maximum(self.offsets[1:], 1) - 1], self.lengths) if len(self.times) else 0
            halvings += (newest - self.times) / (DAY * recency.days)
        return self._last_met(num_items, halvings)

    def _last_met(self, num_items: int, halvings: np.ndarray) -> sparse.csr_matrix:
        """Half as much for each halving of an item's last event, float [total]."""
        last = self._last_events(num_items)
        weights = np.maximum(np.exp2(-halvings[last]), LEAST_WEIGHT).astype(np.float32)
        return sparse.csr_matrix((weights, (self.rows[last], self.items[last])), shape=(len(self), num_items))

    def _last_events(self, num_items: int) -> np.ndarray:
        """Where each item of a history was met last, by history and then by item; int64."""
        # Events are in the order of time: the first of an item from behind is the last time it was met.
        found = np.unique((self.rows * num_items + self.items)[::-1], return_index=True)[1]
        last: np.ndarray = len(self.items) - 1 - found
        return last


@dataclass(frozen=True)
class TrainingData:
    """What a model may learn from."""

    histories: Histories
    num_items: int
    item_vectors: np.ndarray | None = None
    """float32 [num_items, d], unit rows; a zero row where an item has no text."""
    values: np.ndarray | None = None
    """float32 [total], what each event of the histories gives its item, such as a rating; NaN where it gives nothing."""


@dataclass(frozen=True)
class Holdout:
    """Histories that are known, and for each the items to be found, which the user had not met before."""

    histories: Histories
    targets: Histories

    def take(self, indices: np.ndarray) -> Holdout:
        """The users at `indices`, in that order."""
        return Holdout(self.histories.take(indices), self.targets.take(indices))


def new_targets(histories: Histories, targets: Histories, num_items: int) -> tuple[np.ndarray, Holdout]:
    """Indices and holdout of the users who have a target they had not met before; other targets are left out."""
    met = histories.matrix(num_items)
    wanted = targets.matrix(num_items)
    fresh = (wanted - wanted.multiply(met)).tocsr()
    fresh.eliminate_zeros()
    fresh.sort_indices()
    kept = np.flatnonzero(np.diff(fresh.indptr))
    part = fresh[kept]
    found = Histories(part.indptr.astype(np.int64), part.indices.astype(np.int32), np.zeros(part.nnz, dtype=np.int64))
    return kept, Holdout(histories.take(kept), found)

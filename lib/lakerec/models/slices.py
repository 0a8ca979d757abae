"""Divisions of histories: the slices for which a blend may have weights of its own (see `lakerec.models.tailoring`).

    lengths      by the number of events: 0, 1–4, 5–19, 20–99, 100 and more; so strangers have a slice too
    categories   by the category that most of the newest items have

A slice is told by the history alone, so that a user who was never seen in training has one like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy import sparse

from lakerec.models.data import Histories

LENGTHS, CATEGORIES = "lengths", "categories"
RECENT = 20
"""Newest events whose categories are counted."""


class Division(Protocol):
    """Puts each history into one slice, or into none."""

    kind: str

    @property
    def names(self) -> Sequence[str]:
        """Of the slices."""

    def of(self, histories: Histories) -> np.ndarray:
        """The slice of each history, int64 [n]; -1: none."""

    def extended(self, num_items: int) -> Division:
        """For a catalogue with new items behind those that it knows; by them no history is told."""


@dataclass(frozen=True)
class Lengths:
    """By the number of events."""

    kind = LENGTHS
    edges: tuple[int, ...] = (0, 1, 5, 20, 100)
    """Where a slice begins, rising from 0."""

    @property
    def names(self) -> list[str]:
        ends = [f"-{end - 1}" if end - 1 > start else "" for start, end in zip(self.edges, self.edges[1:], strict=False)]
        return [f"{start}{end}" for start, end in zip(self.edges, [*ends, "+"], strict=True)]

    def of(self, histories: Histories) -> np.ndarray:
        return np.searchsorted(np.asarray(self.edges), histories.lengths, side="right") - 1

    def extended(self, num_items: int) -> Lengths:
        return self


@dataclass(frozen=True)
class Categories:
    """By the category of most of the `RECENT` newest items, the first of equals; none where they have none."""

    kind = CATEGORIES
    names: list[str]
    items: sparse.csr_matrix
    """Item × category, 1 where it has it."""

    @classmethod
    def of_items(cls, categories: Sequence[Sequence[str]]) -> Categories:
        """Of the categories of each item."""
        names = sorted({name for own in categories for name in own})
        place = {name: number for number, name in enumerate(names)}
        pairs = [(item, place[name]) for item, own in enumerate(categories) for name in set(own)]
        rows, columns = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
        shape = (len(categories), len(names))
        return cls(names, sparse.csr_matrix((np.ones(len(pairs), np.float32), (rows, columns)), shape=shape))

    def of(self, histories: Histories) -> np.ndarray:
        newest = histories.last(RECENT)
        if not self.names:
            return np.full(len(histories), -1)
        ones = np.ones(len(newest.items), dtype=np.float32)
        met = sparse.csr_matrix((ones, (newest.rows, newest.items)), shape=(len(newest), self.items.shape[0]))
        counts = (met @ self.items).toarray()
        return np.where(counts.any(axis=1), counts.argmax(axis=1), -1)

    def extended(self, num_items: int) -> Categories:
        items = self.items.copy()
        items.resize((num_items, len(self.names)))
        return Categories(self.names, items)


def settings(division: Division) -> dict[str, Any]:
    """Plain values that `from_settings` takes."""
    if isinstance(division, Categories):
        own = [part.tolist() for part in np.split(division.items.indices, division.items.indptr[1:-1])]
        return {"kind": division.kind, "names": division.names, "items": own}
    assert isinstance(division, Lengths)
    return {"kind": division.kind, "edges": list(division.edges)}


def from_settings(found: dict[str, Any]) -> Division:
    """The division that `settings` told of."""
    if found["kind"] == LENGTHS:
        return Lengths(tuple(found["edges"]))
    names = found["names"]
    counts, flat = [len(own) for own in found["items"]], [number for own in found["items"] for number in own]
    offsets = np.concatenate([[0], np.cumsum(counts)])
    ones = np.ones(len(flat), dtype=np.float32)
    return Categories(names, sparse.csr_matrix((ones, np.array(flat, np.int64), offsets), shape=(len(counts), len(names))))

"""What the report says about the data: plain values, gathered by the stage, and the figures read out of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np

from lakerec.evaluation.tallies import Tally
from lakerec.reporting.drift_table import Change

FEW = 5
"""Events up to which a user or an item counts as sparse."""
DAYS_SHOWN = 120
"""A longer time is shown by weeks."""


@dataclass
class Bots:
    """Users that were marked, never by name."""

    users: int = 0
    events: int = 0
    reasons: list[dict[str, Any]] = field(default_factory=list)
    """reason, users, events."""
    listed: list[dict[str, Any]] = field(default_factory=list)
    """user (masked), events, items, days, reasons; those with most events."""


@dataclass
class Distributions:
    """silver/events, counted."""

    events: int
    strangers: int
    """Events without a user."""
    first: datetime
    last: datetime
    types: dict[str, int]
    days: dict[date, int]
    hours: np.ndarray
    """Events by weekday (from Monday) and hour, int64 [7, 24]."""
    values: dict[float, int]
    """By the value at two digits, ascending."""
    users: Tally
    items: Tally
    """Size 0: in the catalogue, never met."""
    sessions: Tally
    minutes: Tally
    """Sessions by whole minutes that they lasted."""
    untitled: int
    """Items whose title is their id."""
    pairs: int
    """Different pairs of user and item."""

    @property
    def density(self) -> float:
        """Pairs met, of all users × all items of the catalogue."""
        return self.pairs / max(1, self.users.number * self.items.number)

    @property
    def cold(self) -> int:
        """Items of the catalogue without an event."""
        return int(self.items.counts[self.items.sizes == 0].sum())

    @property
    def by_time(self) -> tuple[dict[date, int], str]:
        """Events a day or, where these are many, a week (by its Monday), quiet ones with 0; and which of both."""
        if not self.days:
            return {}, "day"
        weekly = (max(self.days) - min(self.days)).days > DAYS_SHOWN
        found: dict[date, int] = {}
        for day, events in self.days.items():
            start = day - timedelta(days=day.weekday()) if weekly else day
            found[start] = found.get(start, 0) + events
        step, begin = timedelta(days=7 if weekly else 1), min(found)
        number = (max(found) - begin) // step + 1
        whole = {begin + step * place: found.get(begin + step * place, 0) for place in range(number)}
        return whole, "week" if weekly else "day"

    @property
    def has_hours(self) -> bool:
        """Whether the log says more than the day."""
        return bool(np.count_nonzero(self.hours.sum(axis=0)) > 1)


@dataclass
class Drift:
    """What came last against what was before."""

    compared: str
    """Which two parts of the data, in words."""
    before: int
    now: int
    """Events of each part."""
    changes: list[Change]


@dataclass
class DataPage:
    """All of it."""

    arrivals: list[dict[str, Any]]
    """source, files, batches, rows_in, rows_out, rows_quarantined, rows_duplicate, rows_dropped, last."""
    batches: list[dict[str, Any]]
    """The newest ones: source, batch_id, files, rows as above, arrived."""
    refused: list[dict[str, Any]]
    """source, reason, rows, share (of the source's rows), example (masked)."""
    tags: list[dict[str, Any]]
    """tag, rows, share (of the events)."""
    bots: Bots
    kept: Distributions
    drift: Drift | None
    """None where there is nothing to compare."""

"""The table of drift: counts of what was before and what came last → one row a measure, with its reading in words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from lakerec.evaluation.drift import (
    MODERATE,
    SHIFTED,
    kolmogorov_smirnov,
    ks_by_chance,
    population_stability_index,
    psi_by_chance,
    quantile_groups,
)
from lakerec.reporting.words import number, share, small

STABLE_WORD, MODERATE_WORD, SHIFTED_WORD = "stable", "moderate", "shifted"
GROUPS = ("head", "torso", "tail")
TYPES, VALUES, POPULARITY = "event types", "values, by tenths", "popular and rare items"
"""Names of the measures that say what users do; the others say how the log came about."""
PSI, KS, SHARE = "PSI", "KS", "share"
CHANCE = 0.05
"""p value from which on a difference may be chance."""
DISTANCES = (0.1, 0.2)
"""Kolmogorov-Smirnov's D from which on a change is moderate, and shifted: a tenth and a fifth of the events moved."""


@dataclass(frozen=True)
class Change:
    """One measure."""

    what: str
    before: str
    now: str
    measure: str
    reading: str
    scale: str
    """PSI, KS or share."""
    value: float
    chance: float | None
    """What chance alone stays below in 19 of 20 cases; None of a share."""
    sizes: tuple[int, int]
    """Events before and now."""


class Met(NamedTuple):
    """Items (or users) that had as many events before."""

    before: int
    """Events of each of them before."""
    number: int
    now: int
    """Events that came last, of all of them together."""
    met: int
    """How many of them these are about."""


@dataclass
class Counts:
    """Events before and now; each pair of arrays has the same order."""

    types: dict[str, list[int]] = field(default_factory=dict)
    """Event type → events before, and now."""
    hours: dict[int, list[int]] = field(default_factory=dict)
    values: dict[float, list[int]] = field(default_factory=dict)
    strangers: tuple[int, int] = (0, 0)
    """Events without a user."""
    events: tuple[int, int] = (0, 0)
    items: list[Met] = field(default_factory=list)
    users: list[Met] = field(default_factory=list)
    refused: tuple[tuple[int, int], tuple[int, int]] | None = None
    """Rows refused and rows that were not, before and now; None where two parts of one batch are compared."""


def changes(counts: Counts) -> list[Change]:
    """All that there is something to say of."""
    rows = [_types(counts), _hours(counts), *_values(counts), _popularity(counts), *_unseen(counts), _strangers(counts)]
    return [row for row in (*rows, _refused(counts)) if row is not None]


def reading_of_psi(value: float, chance: float) -> str:
    """In a word; what chance alone may give is stable.

    >>> [reading_of_psi(value, 0.02) for value in (0.05, 0.1, 0.25)], reading_of_psi(0.3, 0.4)
    (['stable', 'moderate', 'shifted'], 'stable')
    """
    if value < max(MODERATE, chance):
        return STABLE_WORD
    return MODERATE_WORD if value < SHIFTED else SHIFTED_WORD


def reading_of_ks(statistic: float, p: float) -> str:
    """In a word.

    >>> reading_of_ks(0.3, 0.2), reading_of_ks(0.05, 0.0), reading_of_ks(0.15, 0.0), reading_of_ks(0.3, 0.0)
    ('stable', 'stable', 'moderate', 'shifted')
    """
    moderate, shifted = DISTANCES
    if p >= CHANCE or statistic < moderate:
        return STABLE_WORD
    return MODERATE_WORD if statistic < shifted else SHIFTED_WORD


def _psi(what: str, before: str, now: str, counts: np.ndarray) -> Change | None:
    """Row of a PSI over counts [2, k]; None where one side is empty or there is but one category."""
    counts = counts[:, counts.any(axis=0)]
    sizes = (int(counts[0].sum()), int(counts[1].sum()))
    if not all(sizes) or counts.shape[1] < 2:
        return None
    value, chance = population_stability_index(*counts), psi_by_chance(*sizes, counts.shape[1])
    measure = f"PSI {small(value)} (chance: {small(chance)})"
    return Change(what, before, now, measure, reading_of_psi(value, chance), PSI, value, chance, sizes)


def _columns(found: dict[Any, list[int]]) -> np.ndarray:
    """Counts [2, k] of a dictionary of pairs."""
    return np.array(list(found.values()), dtype=np.int64).reshape(-1, 2).T


def _share(part: float, whole: float) -> str:
    return share(part / whole if whole else None)


def _types(counts: Counts) -> Change | None:
    if len(counts.types) < 2:
        return None
    table = _columns(counts.types)
    name, (before, now) = max(counts.types.items(), key=lambda pair: pair[1][0])
    was, is_now = (f"{name} {_share(part, whole)}" for part, whole in zip((before, now), table.sum(axis=1), strict=True))
    return _psi(TYPES, was, is_now, table)


def _hours(counts: Counts) -> Change | None:
    if len(counts.hours) < 2:
        return None
    hours, table = list(counts.hours), _columns(counts.hours)
    was, now = (f"busiest {hours[int(part.argmax())]}:00, {_share(part.max(), part.sum())}" for part in table)
    return _psi("hours of the day (UTC)", was, now, table)


def _values(counts: Counts) -> list[Change | None]:
    """PSI over tenths of the reference, and KS."""
    table = _columns(counts.values)
    if table.shape[1] < 2 or not table.sum(axis=1).all():
        return []
    values, groups = np.array(list(counts.values)), quantile_groups(table[0])
    binned = np.stack([np.bincount(groups, weights=part) for part in table]).astype(np.int64)
    was, now = (f"median {values[np.searchsorted(np.cumsum(part), part.sum() / 2)]:g}" for part in table)
    statistic, p = kolmogorov_smirnov(*table)
    sizes = (int(table[0].sum()), int(table[1].sum()))
    measure, reading = f"KS {small(statistic)} (p: {small(p)})", reading_of_ks(statistic, p)
    ks = Change("values, largest gap", was, now, measure, reading, KS, statistic, ks_by_chance(*sizes), sizes)
    return [_psi(VALUES, was, now, binned), ks]


def _popularity(counts: Counts) -> Change | None:
    """Events on head, torso and tail: items by falling popularity before, cut where each had a third of the events."""
    known = sorted((row for row in counts.items if row.before), reverse=True)
    if not known:
        return None
    before = np.array([row.before * row.number for row in known], dtype=np.int64)
    now = np.array([row.now for row in known], dtype=np.int64)
    groups = quantile_groups(before, len(GROUPS))
    table = np.stack([np.bincount(groups, weights=part) for part in (before, now)]).astype(np.int64)
    was, is_now = (f"head {_share(part[0], part.sum())}" for part in table)
    return _psi(POPULARITY, was, is_now, table)


def _unseen(counts: Counts) -> list[Change | None]:
    """Share of what came last that is about items, and by users, that were never met before, read at the lower end of its
    95 % interval (Wilson)."""
    rows: list[Change | None] = []
    for what, table in (("events on items not met before", counts.items), ("events of users not met before", counts.users)):
        now = sum(row.now for row in table)
        new = [row for row in table if not row.before]
        if now:
            events, met, kind = sum(row.now for row in new), sum(row.met for row in new), what.split()[2]
            surely = stats.binomtest(events, now).proportion_ci(method="wilson").low
            reading = reading_of_psi(surely, 0)
            told, sizes = f"{number(met)} new {kind}", (counts.events[0], now)
            rows.append(Change(what, "–", _share(events, now), told, reading, SHARE, events / now, None, sizes))
    return rows


def _strangers(counts: Counts) -> Change | None:
    return _rate("events without a user", counts.strangers, counts.events)


def _refused(counts: Counts) -> Change | None:
    if counts.refused is None:
        return None
    (refused, fine), (refused_now, fine_now) = counts.refused
    return _rate("rows refused", (refused, refused_now), (refused + fine, refused_now + fine_now))


def _rate(what: str, parts: tuple[int, int], wholes: tuple[int, int]) -> Change | None:
    table = np.array([parts, np.subtract(wholes, parts)], dtype=np.int64).T
    was, now = (_share(part, whole) for part, whole in zip(parts, wholes, strict=True))
    return _psi(what, was, now, table)

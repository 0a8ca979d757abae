"""Figures of drift, and whether they ask for another training.

figures (inputs, vectors, catalogue, exposure, metric by day) → those beyond their limit that training mends → reasons
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from lakerec.evaluation.drift import LEVEL, population_stability_index, psi_by_chance, quantile_groups
from lakerec.evaluation.tallies import Tally

KINDS = INPUTS, VECTORS, CATALOGUE, EXPOSURE, METRIC = "inputs", "vectors", "catalogue", "exposure", "metric"
TOP, POPULARITY_GROUPS = 0.01, 3


@dataclass(frozen=True)
class Figure:
    """One row of ops/drift."""

    kind: str
    name: str
    value: float
    chance: float | None = None
    """What chance alone stays within in 19 of 20 cases."""
    limit: float | None = None
    drifted: bool = False
    before: int | None = None
    """Events (of catalogue: items) that were compared."""
    now: int | None = None
    detail: str = ""
    reason: str = ""
    """Why the model is to be fitted again where this drifted; empty where training would not mend it."""


@dataclass(frozen=True)
class Decision:
    """Whether to fit again, and why or why not."""

    retrain: bool
    reasons: list[str]


def beyond(value: float, limit: float | None, chance: float | None = None) -> bool:
    """Whether a figure that grows with the drift is past its limit and past what chance gives.

    >>> beyond(0.3, 0.25, 0.1), beyond(0.3, 0.25, 0.4), beyond(0.3, None), beyond(0.2, 0.25)
    (True, False, False, False)
    """
    return limit is not None and value >= limit and (chance is None or value > chance)


def decide(figures: Sequence[Figure], new_events: int, minimum_events: int, metric_days: int) -> Decision:
    """Fit again if any figure asks for it, or the metric is below what was evaluated on the last `metric_days` days.

    Args:
        new_events: events that no training has seen yet; below `minimum_events` nothing is decided.
        metric_days: 0: the metric is not looked at.
    """
    if new_events < minimum_events:
        least = f"nothing is decided below {minimum_events:,} (drift.minimum_events)"
        return Decision(
            False, [f"{new_events:,} events have come since the last training, whether its model serves or not: {least}"]
        )
    reasons = [figure.reason for figure in figures if figure.drifted and figure.reason]
    told = (figure for figure in figures if figure.kind == METRIC and figure.limit is not None)
    days = sorted(told, key=lambda figure: figure.name)[-metric_days:]
    if metric_days and len(days) == metric_days and all(day.drifted for day in days):
        values = ", ".join(f"{day.name} {day.value:.4f}" for day in days)
        reasons.append(f"recall was below the evaluation's interval (from {days[-1].limit:.4f}) on the last days: {values}")
    return Decision(bool(reasons), reasons or ["no figure that training would mend is beyond its limit"])


def day_figure(day: str, recall: float, users: int, evaluated: tuple[float, float] | None) -> Figure:
    """The served lists' recall on one day, beside that of the evaluation.

    Args:
        recall: mean over the day's users of the share of their new items that their lists held.
        evaluated: value and lower end of the 95 % interval of recall on the test users; None where it was not evaluated.

    Returns:
        `chance`: what a day of so many users stays above in 19 of 20 cases while the evaluation's value holds, by the
        largest variance that a share of that mean can have.
    """
    detail = f"{users:,} users took items that they had not met"
    if evaluated is None:
        return Figure(METRIC, day, recall, now=users, detail=detail)
    value, low = evaluated
    chance = value - float(stats.norm.ppf(LEVEL)) * math.sqrt(value * (1 - value) / users)
    drifted = recall < min(low, chance)
    return Figure(METRIC, day, recall, chance, low, drifted, now=users, detail=f"{detail}; evaluated: {value:.4f}")


@dataclass(frozen=True)
class Items:
    """One entry an item of today's index or of any event; arrays of one length."""

    before: np.ndarray
    """Events before."""
    now: np.ndarray
    """Events now."""
    shown: np.ndarray
    """Places in the served lists."""
    indexed: np.ndarray
    """bool: in today's index, so that it can be recommended."""
    known: np.ndarray
    """bool: in the index that the model was fitted with."""
    described: np.ndarray
    """bool: in today's silver/items."""
    embedded: np.ndarray
    """bool: has a vector."""


def catalogue_figures(items: Items, new_items: float) -> list[Figure]:
    """New and gone items, events on items that the model does not know, and items without a vector.

    Args:
        new_items: share of events on unknown items from which on the model is to be fitted again.
    """
    known, indexed = int(items.known.sum()), int(items.indexed.sum())
    before, now = int(items.before.sum()), int(items.now.sum())
    strange = int(items.now[~items.known].sum())
    unknown = strange / max(1, now)
    reason = f"{unknown:.1%} of the new events are on items that the model does not know (limit: {new_items:.1%})"
    drifted, told = beyond(unknown, new_items), f"{strange:,} of {now:,} events"

    def part(name: str, counted: np.ndarray, whole: int) -> Figure:
        number = int(counted.sum())
        detail = f"{number:,} of {whole:,} items"
        return Figure(CATALOGUE, name, number / max(1, whole), before=known, now=indexed, detail=detail)

    return [
        part("new items", items.indexed & ~items.known, indexed),
        part("items gone", items.known & ~items.described, known),
        Figure(CATALOGUE, "events on unknown items", unknown, None, new_items, drifted, before, now, told, reason),
        part("items without a vector", items.indexed & ~items.embedded, indexed),
    ]


def exposure_figures(items: Items) -> list[Figure]:
    """How the served lists spread over the catalogue, and over popular and rare items beside the new events.

    None where there are no lists.
    """
    shown, events = items.shown[items.indexed], int(items.now.sum())
    places = int(shown.sum())
    if not places:
        return []
    tally = Tally.of(zip(*np.unique(shown, return_counts=True), strict=True))
    held = int((shown > 0).sum())
    figures = [
        Figure(EXPOSURE, "gini", tally.gini(), now=places, detail="0: all items alike, 1: one has every place"),
        Figure(EXPOSURE, "coverage", held / len(shown), now=places, detail=f"{held:,} of {len(shown):,} items are shown"),
        Figure(EXPOSURE, "top 1 % of items", tally.share_of_top(TOP), now=places, detail="their share of the places"),
    ]
    if events:
        table = _by_popularity(items)
        value, chance = population_stability_index(*table), psi_by_chance(events, places, table.shape[1])
        told = "places, the most popular first: " + " / ".join(f"{share:.0%}" for share in table[1] / places)
        figures.append(Figure(EXPOSURE, "events and places by popularity", value, chance, None, False, events, places, told))
    return figures


def _by_popularity(items: Items) -> np.ndarray:
    """New events and places by popularity before: items with a third of the events each, then those without; [2, ≤ 4]."""
    order = np.argsort(-items.before, kind="stable")
    met = int((items.before > 0).sum())
    groups = quantile_groups(items.before[order[:met]], POPULARITY_GROUPS)
    last = int(groups.max(initial=-1)) + 1
    groups = np.concatenate([groups, np.full(len(order) - met, last)])
    table = np.stack([np.bincount(groups, weights=side[order]) for side in (items.now, items.shown)])
    return table[:, table.any(axis=0)]

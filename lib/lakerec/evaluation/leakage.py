"""Whether what is held out has reached what is judged by it: what a check found, and the arithmetic of the checks.

    arrays as they lie in the tables and in the fitted models → how much of it could not have been known → `Finding`

The checks trust no code that made the arrays: they compare what is stored with what the events say. Events, histories and
models are gathered by `lakerec.stages.auditing`. Kinds of leakage after Kaufman et al., Leakage in data mining:
formulation, detection, and avoidance, KDD 2011; Ji et al., A critical study on data leakage in recommender system offline
evaluation, ACM Transactions on Information Systems 2023.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from scipy import sparse, stats

EVENTS, FEATURES, POPULARITY, VOCABULARY = "events", "features", "popularity", "vocabulary"
NEGATIVES, ADAPTATION, DESCRIPTIONS, MODELS = "negatives", "adaptation_text", "descriptions", "models"
CHANCE = 1e-6
"""Probability below which what is missing among draws is not missing by chance."""


@dataclass(frozen=True)
class Finding:
    """What one check says.

    >>> Finding("events", 300, 2, "2 train rows at or after the valid cut").ok
    False
    """

    check: str
    checked: int
    """Rows, users or items that were looked at; 0: there was nothing to look at."""
    found: int
    """Those of them that leak."""
    detail: str

    @property
    def ok(self) -> bool:
        return self.found == 0


def gathered(check: str, checked: int, parts: Sequence[tuple[int, str]], clean: str) -> Finding:
    """One finding of several numbers, each with what it counts; those that are 0 are not spoken of.

    >>> gathered("events", 9, [(0, "rows early"), (2, "rows late")], "in order")
    Finding(check='events', checked=9, found=2, detail='2 rows late')
    """
    told = ", ".join(f"{count} {what}" for count, what in parts if count)
    return Finding(check, checked, sum(count for count, _ in parts), told or clean)


def summary(findings: Iterable[Finding]) -> str:
    """For the details of a run: a JSON list of {check, ok, checked, found, detail}."""
    return json.dumps([{"check": each.check, "ok": each.ok, **asdict(each)} for each in findings])


def leaks(findings: Iterable[Finding]) -> str:
    """The checks that found something, in one line; empty where none did.

    >>> leaks([Finding("events", 9, 2, "2 rows late"), Finding("models", 3, 0, "the same tables")])
    'events (2 rows late)'
    """
    return "; ".join(f"{each.check} ({each.detail})" for each in findings if not each.ok)


@dataclass(frozen=True)
class Log:
    """Events of some users, by user and then in the order in which they happened; all int64 [n]."""

    users: np.ndarray
    splits: np.ndarray
    """0: train, 1: valid, 2: test."""
    items: np.ndarray
    times: np.ndarray

    def of(self, user: int) -> slice:
        """A user's events."""
        return slice(*np.searchsorted(self.users, [user, user + 1]))


@dataclass(frozen=True)
class Example:
    """A row of gold/sequences."""

    user: int
    split: int
    items: np.ndarray
    times: np.ndarray
    past: np.ndarray
    past_times: np.ndarray


def out_of_order(log: Log) -> np.ndarray:
    """Events of an earlier split than one that the same user had before, bool [n].

    >>> at = np.array
    >>> out_of_order(Log(at([1, 1, 1, 2]), at([0, 2, 1, 0]), at([5, 6, 7, 5]), at([1, 2, 3, 4])))
    array([False, False,  True, False])
    """
    places = log.users * 3 + log.splits
    late: np.ndarray = places < np.maximum.accumulate(places) if len(places) else np.zeros(0, dtype=bool)
    return late


def unlike(log: Log, examples: Iterable[Example]) -> int:
    """Examples that are not what the log says: another item or time, something in the past that is of no earlier split.

    A user's split of the log that has no example counts too.
    """
    missing = set(zip(log.users.tolist(), log.splits.tolist(), strict=True))
    wrong = 0
    for example in examples:
        missing.discard((example.user, example.split))
        events = log.of(example.user)
        splits, items, times = log.splits[events], log.items[events], log.times[events]
        own, before = splits == example.split, splits < example.split
        stored = (example.items, example.times, example.past, example.past_times)
        said = (items[own], times[own], items[before], times[before])
        wrong += not all(map(np.array_equal, stored, said))
    return wrong + len(missing)


def too_early(
    owners: np.ndarray, moments: np.ndarray, counted: np.ndarray, event_owners: np.ndarray, event_times: np.ndarray
) -> np.ndarray:
    """Rows that count more events than their owner had strictly before the moment from which they may be used, bool [n].

    Args:
        owners, moments, counted: int64 [n], of each row of statistics; event_owners, event_times: int64 [m].

    >>> at = np.array
    >>> too_early(at([0, 0, 1]), at([10, 20, 10]), at([1, 2, 1]), at([0, 0, 1]), at([5, 20, 9]))
    array([False,  True, False])
    """
    if not len(owners):
        return np.zeros(0, dtype=bool)
    every = np.concatenate([moments, event_times])
    start, span = every.min(), np.ptp(every) + 1
    events = np.sort(event_owners * span + (event_times - start))
    before = np.searchsorted(events, owners * span + (moments - start)) - np.searchsorted(events, owners * span)
    early: np.ndarray = counted > before
    return early


def differing(stored: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Items whose stored numbers are not the expected ones, but for rounding; bool [num_items]."""
    if stored.shape != expected.shape:
        return np.ones(len(stored), dtype=bool)
    same = np.isclose(stored, expected, rtol=1e-4, atol=1e-5)
    return ~same.reshape(len(stored), -1).all(axis=1)


def avoided(hits: int, draws: int, share: float) -> bool:
    """Whether so few hits among draws are no chance: P(X ≤ hits) < `CHANCE`, X binomial.

    Draws without replacement vary less than that, so that they are not accused more easily.

    >>> avoided(0, 10_000, 0.01), avoided(90, 10_000, 0.01), avoided(0, 100, 0.01)
    (True, False, False)
    """
    return bool(stats.binom.cdf(hits, draws, share) < CHANCE)


def never_together(met: sparse.csr_matrix, pairs: np.ndarray) -> np.ndarray:
    """Pairs of which no user met both, bool [m].

    Args:
        met: [users, things], not 0 where a user met one; pairs: int [m, 2].

    >>> never_together(sparse.csr_matrix([[1, 1, 0], [0, 0, 1]]), np.array([[0, 1], [0, 2]]))
    array([False,  True])
    """
    columns = met.tocsc()
    both = columns[:, pairs[:, 0]].multiply(columns[:, pairs[:, 1]])
    apart: np.ndarray = np.asarray(both.sum(axis=0)).ravel() == 0
    return apart

"""Which users and which targets a figure is of, and how far groups of users lie apart.

    of users    cold_users, sparse_users, new_users, returning_users      by what is known of them
                segment:…, category:…, <attribute>:…                      by group: the larger ones of a kind
    of items    cold_items, head, torso, tail                             targets in them alone, of the users who have any
    of groups   gap:<kind>                                                largest mean less the smallest

A slice of users with fewer than `LEAST_USERS` is left out, but for `sparse_users`: its figure would be an anecdote.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from lakerec.evaluation.intervals import LEVEL, resampled_sums
from lakerec.evaluation.lists import MetricRow

COLD_ITEMS, COLD_USERS, SPARSE_USERS = "cold_items", "cold_users", "sparse_users"
NEW_USERS, RETURNING_USERS = "new_users", "returning_users"
HEAD, TORSO, TAIL = "head", "torso", "tail"
GAP = "gap"
SPARSE_USER_EVENTS = 10
"""Events that a user of `sparse_users` has at most."""
NEW_DAYS = 30
"""A user whose first event lies within so many days before the newest known event is new."""
HEAD_SHARE, TORSO_SHARE = 0.5, 0.3
"""Of all known events: what the head holds, the most popular items, and the torso after it; all other items are tail."""
LEAST_USERS = 20
MOST_GROUPS = 10
"""Of a kind, those with most users."""
DAY = 86_400


def by_history(lengths: np.ndarray, first: np.ndarray, newest: int) -> dict[str, np.ndarray]:
    """Users by what is known of them before the test, bool [n] by the name of the slice; the empty ones are left out.

    Args:
        lengths: events of each user, int [n].
        first: epoch seconds of each user's first event, int [n]; of no matter for one without events, who counts as new.
        newest: epoch seconds of the newest event of all.

    >>> found = by_history(np.repeat([50, 5], 20), np.repeat([0, 31 * DAY], 20), 40 * DAY)
    >>> {name: int(chosen.sum()) for name, chosen in found.items()}
    {'sparse_users': 20, 'new_users': 20, 'returning_users': 20}
    """
    new = (lengths == 0) | (first > newest - NEW_DAYS * DAY)
    enough = large_enough({COLD_USERS: lengths == 0, NEW_USERS: new, RETURNING_USERS: ~new})
    if new.all() or not new.any():
        enough = {name: chosen for name, chosen in enough.items() if name == COLD_USERS}
    sparse = lengths <= SPARSE_USER_EVENTS
    return ({SPARSE_USERS: sparse} if sparse.any() else {}) | enough


def by_group(kind: str, groups: Sequence[str | None] | np.ndarray) -> dict[str, np.ndarray]:
    """Users by their group, bool [n] by `kind:group`: the `MOST_GROUPS` largest of at least `LEAST_USERS`.

    Args:
        groups: the name of each user's group, [n]; None: they have none.

    >>> list(by_group("country", ["FR"] * 20 + ["DE"] * 30 + ["IT"] * 19 + [None]))
    ['country:DE', 'country:FR']
    """
    names = sorted({name for name in groups if name is not None})
    place = {name: number for number, name in enumerate(names)}
    numbers = np.array([-1 if name is None else place[name] for name in groups], dtype=np.int64)
    users = np.bincount(numbers[numbers >= 0], minlength=len(names))
    largest = [number for number in np.argsort(-users, kind="stable")[:MOST_GROUPS] if users[number] >= LEAST_USERS]
    return {f"{kind}:{names[number]}": numbers == number for number in largest}


def by_popularity(events: np.ndarray) -> dict[str, np.ndarray]:
    """Items by how often they were met, bool [num_items]: see `HEAD_SHARE`; equal ones in the order of their index.

    Source: Anderson, The long tail, 2006, cut by the share of events as by Celma, Music recommendation and discovery, 2010.

    Args:
        events: known events of each item, int [num_items].

    >>> {name: np.flatnonzero(items).tolist() for name, items in by_popularity(np.array([1, 5, 0, 3, 1])).items()}
    {'head': [1], 'torso': [3], 'tail': [0, 2, 4]}
    """
    order = np.argsort(-events, kind="stable")
    before = np.empty(len(events))
    before[order] = (np.cumsum(events[order]) - events[order]) / max(1, events.sum())
    head, rest = before < HEAD_SHARE, before >= HEAD_SHARE + TORSO_SHARE
    tail = rest | (events == 0)
    return {HEAD: head & ~tail, TORSO: ~head & ~tail, TAIL: tail}


def large_enough(slices: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Those of at least `LEAST_USERS`."""
    return {name: chosen for name, chosen in slices.items() if int(chosen.sum()) >= LEAST_USERS}


def gap_rows(
    model: str,
    kind: str,
    groups: Sequence[np.ndarray],
    values: Mapping[tuple[str, int], np.ndarray],
    resamples: int,
    seed: int,
) -> list[MetricRow]:
    """How far the groups of a kind lie apart: the largest of their means less the smallest; n is the number of groups.

    The interval is simultaneous over all pairs of groups: the gap ± the 95 % quantile of the range, over bootstrap samples
    drawn within each group, of the deviations of the groups' means. So it allows for the gap being that of the pair that
    lies furthest apart: where it holds 0, groups that are served alike would show such a gap by chance.

    Source: Tukey, The problem of multiple comparisons, 1953 (simultaneous intervals by the studentized range), with the
    bootstrap in place of the normal distribution: Romano and Wolf, Exact and approximate stepdown methods, JASA 100, 2005.

    Args:
        groups: bool [n] each, none of them empty; of fewer than two there is no gap.
        values: what hits tell of each user, float [n] by metric and k, all finite.
    """
    if len(groups) < 2:
        return []
    stacked = np.column_stack(list(values.values()))
    means = np.stack([stacked[chosen].mean(axis=0) for chosen in groups])
    drawn = [
        resampled_sums(stacked[chosen], resamples, seed + number) / chosen.sum() - means[number]
        for number, chosen in enumerate(groups)
    ]
    spread = np.quantile(np.ptp(np.stack(drawn), axis=0), LEVEL, axis=0)
    gaps = np.ptp(means, axis=0)
    return [
        MetricRow(model, f"{GAP}:{kind}", metric, k, float(gap), float(gap - far), float(gap + far), len(groups))
        for (metric, k), gap, far in zip(values, gaps, spread, strict=True)
    ]

"""What a log says of an item and of a user as of a moment: numbers made of what lies strictly before it.

    (item, moment)    → share of all events so far, of 7 days and of 30; days since its last event     [.., ITEM_FACTS]
    (history, moment) → events so far, days from first to last                                          [.., USER_FACTS]
    values            → how far the item's, and the user's, mean so far lies from everybody's          [..]

Events of the moment itself are not before it. An item's events are one sorted array of (item, time), so that a number as of
a moment is a difference of two places in it: a binary search each, for any moments at once, and nothing is kept a day.

They are worked out of the histories, not read from gold/user_stats and gold/item_stats, since these exist only where
`features.statistics` is on, know a moment to the day, and count what training may not see (events of a later split). Shares
of all events instead of counts: a log that has grown since leaves them comparable.
"""

from __future__ import annotations

import numpy as np

from lakerec.models.data import DAY, Histories

WINDOWS = (7, 30)
"""Days of the recent shares."""
ITEM_FACTS, USER_FACTS = 2 + len(WINDOWS), 2
LONGEST = 365.0
"""Days since an item's last event, at most; as many where it has none."""
SHRINKAGE = 5.0
"""Values of everybody's mean that a mean of few is mixed with."""


class Moments:
    """Facts as of any moment, out of all histories together.

    Args:
        values: float32 [total], by event, NaN where it has none; None: nobody gave any.
    """

    def __init__(self, histories: Histories, num_items: int, values: np.ndarray | None = None) -> None:
        items, times = histories.items.astype(np.int64), histories.times
        self.start = int(times.min(initial=0)) if len(times) else 0
        self.span = int(times.max(initial=self.start)) - self.start + 2
        self.now = self.start + self.span - 1
        """The first second after the newest event."""
        self.num_items, self.times = num_items, np.sort(times)
        keys = items * self.span + (times - self.start)
        order = np.argsort(keys, kind="stable")
        self.keys = keys[order]
        self.firsts = np.searchsorted(self.keys, np.arange(num_items) * self.span)
        nothing = np.full(len(items), np.nan)
        given = nothing if values is None else values
        self.by_item, self.by_time = Sums(given[order]), Sums(given[np.argsort(times, kind="stable")])

    def _before(self, items: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Place in `keys` of the first event of the item that is not before the time."""
        return np.searchsorted(self.keys, items * self.span + np.clip(times - self.start, 0, self.span - 1))

    def items(self, items: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Facts of items, float32 [.., ITEM_FACTS].

        Args:
            items: int [..]; times: int [..], epoch seconds.
        """
        items = items.astype(np.int64)
        place, all_before = self._before(items, times), np.searchsorted(self.times, times)
        count = place - self.firsts[items]
        facts = [self._share(count, all_before)]
        for days in WINDOWS:
            earlier = times - days * DAY
            facts.append(
                self._share(place - self._before(items, earlier), all_before - np.searchsorted(self.times, earlier))
            )
        last = self.keys[np.maximum(place - 1, 0)] - items * self.span + self.start if len(self.keys) else times
        since = np.where(count > 0, np.minimum((times - last) / DAY, LONGEST), LONGEST)
        return np.stack([*facts, np.log1p(since)], axis=-1).astype(np.float32)

    def nobodys(self) -> np.ndarray:
        """Facts as of `now` of one more item, which has no events, float32 [ITEM_FACTS]."""
        earlier = np.searchsorted(self.times, self.now - DAY * np.array(WINDOWS))
        of = len(self.times) - np.concatenate([[0], earlier])
        return np.append(self._share(np.zeros(len(of)), of), np.log1p(LONGEST)).astype(np.float32)

    def _share(self, events: np.ndarray, of: np.ndarray) -> np.ndarray:
        """Logarithm of how often the item is met, against the mean of all items; both have one event more than they had."""
        return np.log((events + 1) / (of / self.num_items + 1))

    def mean(self, times: np.ndarray) -> np.ndarray:
        """Mean of all values so far, float64 [..]; 0 where there are none."""
        return self.by_time.mean(np.zeros_like(times), np.searchsorted(self.times, times))

    def item_values(self, items: np.ndarray, times: np.ndarray) -> np.ndarray:
        """How far the mean of an item's values so far lies from that of all, float32 [..]."""
        items = items.astype(np.int64)
        return self.by_item.shift(self.firsts[items], self._before(items, times), self.mean(times))


class Sums:
    """Sums over ranges of an array of values, those that are NaN left out."""

    def __init__(self, values: np.ndarray) -> None:
        self.total = np.concatenate([[0.0], np.cumsum(np.nan_to_num(values.astype(np.float64)))])
        self.count = np.concatenate([[0], np.cumsum(np.isfinite(values))])

    def mean(self, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """Mean of each range, float64 [..]; 0 where it has no value."""
        return (self.total[ends] - self.total[starts]) / np.maximum(self.count[ends] - self.count[starts], 1)

    def shift(self, starts: np.ndarray, ends: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """How far the mean of each range lies from `mean`, float32 [..]; drawn to 0 as by `SHRINKAGE` values more."""
        count = self.count[ends] - self.count[starts]
        return ((self.total[ends] - self.total[starts] - count * mean) / (count + SHRINKAGE)).astype(np.float32)


def user_facts(times: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Facts of users whose histories are ranges of events, float32 [n, USER_FACTS]: zeros where a range is empty.

    Args:
        times: int [total]; starts, ends: int [n].
    """
    seconds = np.zeros(len(starts))
    some = ends > starts
    seconds[some] = times[ends[some] - 1] - times[starts[some]]
    return np.stack([np.log1p(ends - starts), np.log1p(seconds / DAY)], axis=-1).astype(np.float32)


def known_before(histories: Histories) -> np.ndarray:
    """For each event the place of the first one of its history at its moment: what lies before that was known; int64."""
    places = np.arange(len(histories.items))
    new = np.ones(len(places), dtype=bool)
    new[1:] = np.diff(histories.times) != 0
    new[histories.offsets[:-1][histories.lengths > 0]] = True
    return np.maximum.accumulate(np.where(new, places, 0)) if len(places) else places

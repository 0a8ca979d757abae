"""A second word for cold items in a blend: what behaviour knows too little of is lifted, and judged by its text and age.

    score of a cold item = blended score + bias + text · content's score + fresh · 2^(- days since its first event / 14)

Members that learn from behaviour rank an item of few events below all others, whatever it is, so the weights of a blend,
which are those of the many warm targets, bury it. Few events are news of an item that came last week and a verdict on one
that came last year. Bias with text, then bias with freshness are chosen on validation: what finds cold targets best while
the whole list stays within a tolerance of what it is without them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from lakerec.models.data import DAY, Histories, Holdout
from lakerec.models.ranking import mask_seen, mean_ndcg

COLD_ITEM_EVENTS = 5
"""Events of an item that is cold, at most."""
BIASES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
TEXTS = (0.0, 0.5, 1.0, 2.0)
FRESH = (0.5, 1.0, 2.0, 4.0)
FRESH_DAYS = 14
"""After which an item is half as fresh."""


@dataclass(frozen=True)
class ColdItems:
    """Which items are lifted, and how."""

    items: np.ndarray
    """int [m]."""
    ages: np.ndarray
    """Days from an item's first event to the newest event of all, float32 [m]; infinite where it has none: nobody told
    whether it is new, or came long ago and was never taken."""
    bias: float = 0.0
    text: float = 0.0
    fresh: float = 0.0

    @classmethod
    def of(cls, histories: Histories, num_items: int) -> ColdItems:
        """Those of these histories, not lifted yet."""
        items, first = cold_items(histories, num_items), np.full(num_items, np.inf)
        np.minimum.at(first, histories.items, histories.times.astype(np.float64))
        newest = histories.times.max() if len(histories.times) else 0
        return cls(items, np.abs((newest - first[items]) / DAY).astype(np.float32))

    @property
    def lifts(self) -> bool:
        return bool(self.bias or self.text or self.fresh)

    def like(self, other: ColdItems) -> ColdItems:
        """These items, lifted as the other ones are."""
        return replace(self, bias=other.bias, text=other.text, fresh=other.fresh)

    def lifted(self, blended: np.ndarray, content: np.ndarray | None) -> np.ndarray:
        """Blended scores with the cold items lifted, in another array.

        Args:
            blended, content: float32 [n, num_items], content's standardised; None: there are none.
        """
        found = blended.copy()
        found[:, self.items] += self.bias + self.fresh * np.exp2(-self.ages / FRESH_DAYS)
        if self.text and content is not None:
            found[:, self.items] += self.text * content[:, self.items]
        return found


def cold_items(histories: Histories, num_items: int) -> np.ndarray:
    """Items of at most COLD_ITEM_EVENTS events, those without any among them; int [m]."""
    return np.flatnonzero(np.bincount(histories.items, minlength=num_items) <= COLD_ITEM_EVENTS)


@dataclass(frozen=True)
class Lift:
    """What was chosen, and what it does to NDCG@k on the users it was chosen on."""

    chosen: ColdItems
    users: int = 0
    """Who have a cold target."""
    whole: tuple[float, float] = (0.0, 0.0)
    """Of all users and targets, without the lift and with it."""
    cold: tuple[float, float] = (0.0, 0.0)
    """Of the cold targets alone."""

    def told(self) -> dict[str, Any]:
        """For details and report."""
        chosen = self.chosen
        own = {"bias": chosen.bias, "text": chosen.text, "fresh": chosen.fresh, "users": self.users}
        return own | {"whole": list(self.whole), "cold": list(self.cold)}


def fit_cold(
    blended: np.ndarray, content: np.ndarray | None, holdout: Holdout, items: ColdItems, tolerance: float, k: int = 10
) -> Lift:
    """Bias, text and fresh weight for the cold items; none of them where no cold target is found better so.

    Bias and text in pairs, then bias and freshness in pairs with that text.

    Args:
        blended, content: standardised scores of the holdout's histories, float32 [n, num_items].
        items: the cold ones, by the histories that the members were fitted on, not lifted.
        tolerance: share of the holdout's NDCG@k that may be lost.
    """
    wanted = holdout.targets.only(items.items, blended.shape[1])
    some = np.flatnonzero(wanted.lengths)
    if not len(some):
        return Lift(items)

    def values(tried: ColdItems) -> tuple[float, float]:
        scores = mask_seen(tried.lifted(blended, content), holdout.histories)
        return mean_ndcg(scores, holdout.targets, k), mean_ndcg(scores[some], wanted.take(some), k)

    found, before = items, values(items)
    after = before

    def better(tried: list[ColdItems]) -> None:
        nonlocal found, after
        for each in tried:
            whole, cold = values(each)
            if whole >= (1 - tolerance) * before[0] and cold > after[1]:
                found, after = each, (whole, cold)

    texts = TEXTS if content is not None else TEXTS[:1]
    better([replace(items, bias=bias, text=text) for bias, text in product(BIASES, texts) if bias or text])
    if np.isfinite(items.ages).any():
        better([replace(found, bias=bias, fresh=fresh) for bias, fresh in product(BIASES, FRESH)])
    return Lift(found, len(some), (before[0], after[0]), (before[1], after[1]))

"""A second word for cold items in a blend: what behaviour knows too little of is lifted, and judged by its text.

    score of a cold item = blended score + bias + text · content's score

Members that learn from behaviour rank an item of few events below all others, whatever it is, so the weights of a blend,
which are those of the many warm targets, bury it. Bias and text are chosen on validation: of the pairs that leave the whole
list within a tolerance of what it is without them, and no cold target out of it, the one that places these best: by their
NDCG@100, since of some tens of cold targets one or none is among the first ten, whatever the pair.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from lakerec.models.data import Histories, Holdout
from lakerec.models.ranking import mask_seen, mean_ndcg

COLD_ITEM_EVENTS = 5
"""Events of an item that is cold, at most."""
BIASES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
TEXTS = (0.0, 0.5, 1.0, 2.0)
PLACES = 100
"""Of a list, in which a cold target counts when bias and text are chosen. On halves of validation's users, chosen on one and
judged on the other, 300 times: MovieLens-100K's cold NDCG@10 is 0 chosen by 10 places, .0093 by 100, .0066 by all;
ml-latest-small's .0271, .0281, .0277, Online Retail's .0048, .0056, .0039.
"""


@dataclass(frozen=True)
class ColdItems:
    """Which items are lifted, and how."""

    items: np.ndarray
    """int [m]."""
    bias: float = 0.0
    text: float = 0.0

    def lifted(self, blended: np.ndarray, content: np.ndarray | None) -> np.ndarray:
        """Blended scores with the cold items lifted, in another array.

        Args:
            blended, content: float32 [n, num_items], content's standardised; None: there are none.
        """
        found = blended.copy()
        found[:, self.items] += self.bias
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
    placed: tuple[float, float] = (0.0, 0.0)
    """NDCG@100 of them, by which it was chosen."""

    def told(self) -> dict[str, Any]:
        """For details and report."""
        own = {"bias": self.chosen.bias, "text": self.chosen.text, "users": self.users}
        return own | {"whole": list(self.whole), "cold": list(self.cold), "placed": list(self.placed)}


def fit_cold(
    blended: np.ndarray, content: np.ndarray | None, holdout: Holdout, items: np.ndarray, tolerance: float, k: int = 10
) -> Lift:
    """Bias and text weight for the cold items; none of both where no cold target is placed better so.

    Args:
        blended, content: standardised scores of the holdout's histories, float32 [n, num_items].
        items: the cold ones, by the histories that the members were fitted on.
        tolerance: share of the holdout's NDCG@k that may be lost.
    """
    wanted = holdout.targets.only(items, blended.shape[1])
    some = np.flatnonzero(wanted.lengths)
    if not len(some):
        return Lift(ColdItems(items))

    def values(tried: ColdItems) -> tuple[float, float, float]:
        scores = mask_seen(tried.lifted(blended, content), holdout.histories)
        own, targets = scores[some], wanted.take(some)
        return mean_ndcg(scores, holdout.targets, k), mean_ndcg(own, targets, k), mean_ndcg(own, targets, PLACES)

    found = ColdItems(items)
    before = after = values(found)
    for bias, text in [*product(BIASES, TEXTS if content is not None else TEXTS[:1])][1:]:  # the first lifts nothing
        tried = ColdItems(items, bias, text)
        now = values(tried)
        if now[0] >= (1 - tolerance) * before[0] and now[1] >= before[1] and now[2] > after[2]:
            found, after = tried, now
    return Lift(found, len(some), *zip(before, after, strict=True))

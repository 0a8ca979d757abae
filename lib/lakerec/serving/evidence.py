"""The evidence for recommendations: the items of a user's own history that speak for each, and whether that is so.

lists, histories → attributions → the largest shares → reasons in words
                                → removed from the history: how far does the score fall? (`evaluation.faithfulness`)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lakerec.evaluation.faithfulness import Faithfulness, faithfulness, others
from lakerec.models.attribution import Attributions, Method, attributions
from lakerec.models.blend import standardise
from lakerec.models.data import Histories
from lakerec.models.leave_one_out import without
from lakerec.models.protocol import Recommender
from lakerec.models.topk import recommend
from lakerec.serving.reasons import Evidence, named

KEPT = 5
"""Items of the history that are kept for each recommendation."""
CELLS_AT_ONCE = 8_000_000
"""Scores held at a time: 32 MB."""
USERS_AT_ONCE = 1_024
"""Whose recommendations are explained together."""


@dataclass(frozen=True)
class Lists:
    """Recommendations of some users."""

    users: slice
    items: np.ndarray
    """int32 [users, k], -1 where a list is shorter."""
    scores: np.ndarray
    """float32 [users, k]."""
    why: list[list[Evidence]]
    """Of each user and place."""


@dataclass(frozen=True)
class Explainer:
    """A model that says why; items in its own index."""

    model: Recommender
    num_items: int
    hidden: np.ndarray
    """int [m], items that nobody may be shown."""
    method: Method = "leave_one_out"

    def lists(self, histories: Histories, k: int) -> Iterator[Lists]:
        """The k best items of each history that its user has not met, some users at a time."""
        for whole, items, scores in recommend(self.model, histories, k, self.num_items, self.hidden):
            for start in range(whole.start, whole.stop, USERS_AT_ONCE):
                users = slice(start, min(start + USERS_AT_ONCE, whole.stop))
                own = slice(users.start - whole.start, users.stop - whole.start)
                why = self._why(histories.take(np.arange(users.start, users.stop)), items[own])
                yield Lists(users, items[own], scores[own], why)

    def _why(self, histories: Histories, items: np.ndarray) -> list[list[Evidence]]:
        return evidence(attributions(self.model, histories, np.maximum(items, 0), self.num_items, self.method))

    def faithfulness(self, histories: Histories, most: int, resamples: int, seed: int) -> Faithfulness:
        """How faithful the reasons for what leads the lists are, on so many users at most, drawn at random: `measured`."""
        drawn = np.sort(np.random.default_rng(seed).permutation(len(histories))[:most])
        some = histories.take(drawn)
        lists = list(self.lists(some, 1))
        leading = np.concatenate([each.items[:, 0] for each in lists]) if lists else np.zeros(0, np.int32)
        shown = np.flatnonzero(leading >= 0)
        whole = [own[0] for each in lists for own in each.why]
        why = [whole[user] for user in shown]
        return measured(self.model, some.take(shown), leading[shown], why, self.num_items, resamples, seed)


def evidence(found: Attributions) -> list[list[Evidence]]:
    """For each user and item asked about, the items of the history that speak for it most, the largest share first."""
    shares, offsets = found.shares(), found.met.offsets
    rows = []
    for user in range(len(found.met)):
        whose = slice(offsets[user], offsets[user + 1])
        items, own = found.met.items[whose], shares[whose]
        order = np.argsort(-own, axis=0, kind="stable")[:KEPT]
        rows.append([_speaking(items[best], share[best]) for best, share in zip(order.T, own.T, strict=True)])
    return rows


def _speaking(items: np.ndarray, shares: np.ndarray) -> Evidence:
    return [(item, share) for item, share in zip(items.tolist(), shares.tolist(), strict=True) if share > 0]


def measured(
    model: Recommender, histories: Histories, items: np.ndarray, why: list[Evidence], num_items: int, resamples: int,
    seed: int,
) -> Faithfulness:  # fmt: skip
    """How faithful reasons are: of each user's item, in standard deviations of the user's scores over the catalogue.

    Users of whom nothing is named, or who met too few other items, are left out.

    Args:
        items: int [n], one of each history; why: its evidence.
    """
    met = [np.unique(histories.row(user)) for user in range(len(histories))]
    told = [np.array([item for item, _ in named(each)], dtype=np.int64) for each in why]
    judged = np.array([user for user, own in enumerate(told) if 0 < len(own) <= len(met[user]) - len(own)], dtype=np.int64)
    asked, wanted = histories.take(judged), items[judged]
    removed = [told[user] for user in judged]
    drawn = others([met[user] for user in judged], removed, seed)
    variants = asked, _shorter(asked, removed, num_items), _shorter(asked, drawn, num_items)
    whole, without_named, without_drawn = (_scores(model, each, wanted, num_items) for each in variants)
    return faithfulness(whole, without_named, without_drawn, resamples, seed)


def _shorter(histories: Histories, gone: list[np.ndarray], num_items: int) -> Histories:
    """Without some items of each; gone: int arrays, one a history."""
    users = np.repeat(np.arange(len(gone)), [len(each) for each in gone])
    return without(histories, users, np.concatenate([*gone, np.zeros(0, np.int64)]), num_items)


def _scores(model: Recommender, histories: Histories, items: np.ndarray, num_items: int) -> np.ndarray:
    """Standardised scores of one item of each history, float [n]."""
    found, at_once = np.zeros(len(histories)), max(1, CELLS_AT_ONCE // num_items)
    for users, part in histories.parts(at_once):
        found[users] = standardise(model.score(part))[np.arange(len(part)), items[users]]
    return found

"""How well vectors alone find items that nobody had met yet: items are hidden, and asked for.

items that training could know ─ seed ─► hidden to choose by │ hidden to report by │ the rest
a history without hidden items → content model → ranking of all items, or of the cold ones → recall@k of its hidden items
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lakerec.columns import Metrics
from lakerec.evaluation.lists import hit_matrix
from lakerec.evaluation.metrics import PER_USER
from lakerec.models.content import Content
from lakerec.models.data import Histories, Holdout, TrainingData, new_targets
from lakerec.models.popular import Popular
from lakerec.models.protocol import Recommender
from lakerec.models.topk import recommend

ALL_ITEMS, COLD_ITEMS = "all", "cold"
"""What is ranked: every item that the user has not met, or the hidden ones alone."""
RANDOM, POPULAR = "random", "popular"


@dataclass(frozen=True)
class Hidden:
    """Two sets of items, bool [num_items] each."""

    choosing: np.ndarray
    reporting: np.ndarray

    @property
    def either(self) -> np.ndarray:
        return self.choosing | self.reporting


def hide_items(met: np.ndarray, share: float, seed: int) -> Hidden:
    """A random `share` of the items that were met for each set; at least one item each.

    Args:
        met: bool [num_items], items that training could know.
    """
    items = np.random.default_rng((seed, 5)).permutation(np.flatnonzero(met))
    size = max(1, int(len(items) * share))
    sets = [np.isin(np.arange(len(met)), items[start : start + size]) for start in (0, size)]
    return Hidden(*sets)


def cold_holdout(histories: Histories, hidden: Hidden, wanted: np.ndarray, most: int) -> Holdout:
    """Users with an item of `wanted` and one that is not hidden: what they met of these, to find what they met of those.

    Args:
        wanted: bool [num_items], one of the two hidden sets.
        most: users, the first ones by index.
    """
    places = np.arange(len(wanted))
    known = histories.renumbered(np.where(hidden.either, -1, places))
    _, holdout = new_targets(known, histories.renumbered(np.where(wanted, places, -1)), len(wanted))
    return holdout.take(np.flatnonzero(holdout.histories.lengths)[:most])


def baselines(holdout: Holdout, wanted: np.ndarray, k: int) -> Iterator[tuple[str, str, float]]:
    """(model, candidates, recall@k) of chance and of popularity, which has met no hidden item.

    Chance is worked out: of m candidates, k / m of the targets are in a random list of k. Among hidden items popularity is
    chance: their order in the index would tell what was met early, and so often.
    """
    num_items = len(wanted)
    left = {ALL_ITEMS: num_items - holdout.histories.matrix(num_items).getnnz(axis=1), COLD_ITEMS: wanted.sum()}
    chance = {candidates: float(np.mean(np.minimum(1.0, k / np.maximum(1, size)))) for candidates, size in left.items()}
    for candidates, value in chance.items():
        yield RANDOM, candidates, value
    popular = Popular()
    popular.fit(TrainingData(holdout.histories, num_items))
    yield POPULAR, ALL_ITEMS, recall(popular, holdout, wanted, ALL_ITEMS, k)
    yield POPULAR, COLD_ITEMS, chance[COLD_ITEMS]


def recall_of(vectors: np.ndarray, half_life: float, holdout: Holdout, wanted: np.ndarray, candidates: str, k: int) -> float:
    """Mean recall@k of the content model over these item vectors."""
    model = Content(half_life)
    model.fit(TrainingData(holdout.histories, len(wanted), vectors))
    return recall(model, holdout, wanted, candidates, k)


def recall(model: Recommender, holdout: Holdout, wanted: np.ndarray, candidates: str, k: int) -> float:
    """Mean recall@k over users."""
    others = np.flatnonzero(~wanted) if candidates == COLD_ITEMS else None
    lists = recommend(model, holdout.histories, k, len(wanted), others)
    items = np.concatenate([items for _, items, _ in lists])
    hits = hit_matrix(items, holdout.targets.offsets, holdout.targets.items, len(wanted))
    return float(PER_USER[Metrics.RECALL](hits, holdout.targets.lengths, k).mean())

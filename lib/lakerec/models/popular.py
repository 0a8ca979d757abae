"""The two baselines that a recommender must beat: what is popular, and what is popular now.

Models of behaviour alone fall back to the first where a history tells them nothing; in a blend they are silent there, since
its other members may know better.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np

from lakerec.models import storage
from lakerec.models.data import DAY, Histories, TrainingData
from lakerec.models.protocol import Recommender

POPULARITY = "popularity"
"""The array by that name in the weights of a model that falls back."""


def popularity(histories: Histories, num_items: int) -> np.ndarray:
    """The number of users who met each item, float32 [num_items]."""
    return _people(histories.rows, histories.items, num_items)


class FallsBack(ABC):
    """A model of behaviour alone: what is popular is its answer where a history tells it nothing."""

    popularity: np.ndarray
    """How many users met each item, float32 [num_items]."""

    @abstractmethod
    def told(self, histories: Histories) -> np.ndarray:
        """Scores by the history, float32 [n, num_items]; zeros throughout where it tells nothing."""

    def instead(self, told: np.ndarray) -> np.ndarray:
        """What `score` makes of them; may change the same array."""
        return or_popular(told, self.popularity)

    def score(self, histories: Histories) -> np.ndarray:
        """See `lakerec.models.protocol.Recommender`."""
        return self.instead(self.told(histories))


def by_history(model: Recommender, histories: Histories) -> np.ndarray:
    """Scores of a member of a blend: a model that falls back has zeros where the history tells nothing."""
    return model.told(histories) if isinstance(model, FallsBack) else model.score(histories)


def as_scored(model: Recommender, told: np.ndarray) -> np.ndarray:
    """`score`'s scores, of what `by_history` gave; may change the same array."""
    return model.instead(told) if isinstance(model, FallsBack) else told


def or_popular(scores: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Scores, float32 [n, num_items], but `counts` in rows without any: of no history, or of items that tell nothing.

    Such a list would name the items in the order of their index otherwise. Changes and gives the same array.

    >>> or_popular(np.array([[0.0, 0.5, 0.0], [0.0, 0.0, 0.0]]), np.array([1, 2, 4])).tolist()
    [[0.0, 0.5, 0.0], [1.0, 2.0, 4.0]]
    """
    scores[~scores.any(axis=1)] = counts
    return scores


def _people(users: np.ndarray, items: np.ndarray, num_items: int) -> np.ndarray:
    """How many users met each item, by their events."""
    pairs = np.unique(users * num_items + items)
    return np.bincount(pairs % num_items, minlength=num_items).astype(np.float32)


class Popular:
    """Score of an item: the number of users who met it.

    Args:
        days: count only events of this many days before the last one; None: all.
    """

    def __init__(self, days: int | None = None) -> None:
        self.days = days
        self.name = "popular" if days is None else "recent_popular"
        self.counts = np.zeros(0, dtype=np.float32)

    def fit(self, data: TrainingData) -> None:
        histories = data.histories
        users, items = histories.rows, histories.items
        if self.days is not None and len(items):
            recent = histories.times > histories.times.max() - self.days * DAY
            users, items = users[recent], items[recent]
        self.counts = _people(users, items, data.num_items)

    def score(self, histories: Histories) -> np.ndarray:
        return np.tile(self.counts, (len(histories), 1))

    def save(self, folder: Path) -> None:
        storage.save(folder, self.name, {"counts": self.counts}, days=self.days)

    @classmethod
    def load(cls, folder: Path) -> Popular:
        model = cls(storage.settings(folder)["days"])
        model.counts = storage.arrays(folder)["counts"]
        return model

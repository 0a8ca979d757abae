"""The two baselines that a recommender must beat: what is popular, and what is popular now."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lakerec.models import storage
from lakerec.models.data import DAY, Histories, TrainingData


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
        pairs = np.unique(users * data.num_items + items)
        self.counts = np.bincount(pairs % data.num_items, minlength=data.num_items).astype(np.float32)

    def score(self, histories: Histories) -> np.ndarray:
        return np.tile(self.counts, (len(histories), 1))

    def save(self, folder: Path) -> None:
        storage.save(folder, self.name, {"counts": self.counts}, days=self.days)

    @classmethod
    def load(cls, folder: Path) -> Popular:
        model = cls(storage.settings(folder)["days"])
        model.counts = storage.arrays(folder)["counts"]
        return model

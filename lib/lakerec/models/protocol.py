"""What every recommender is: a function from a history to a score for each item, fitted once, saved without pickles."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from lakerec.models.data import Histories, TrainingData


class Recommender(Protocol):
    """Scores items for histories, those of users never seen in training included."""

    name: str

    def fit(self, data: TrainingData) -> None:
        """Learn from the histories."""

    def score(self, histories: Histories) -> np.ndarray:
        """float32 [n, num_items]; higher is better; comparable within a row."""

    def save(self, folder: Path) -> None:
        """Write model.json and weights.safetensors into an existing folder."""

    @classmethod
    def load(cls, folder: Path) -> Recommender:
        """The saved model."""

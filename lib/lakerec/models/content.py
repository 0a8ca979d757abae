"""Zero-shot recommendation from text alone: nothing is learned from behaviour, so a cold item is as good as any."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import sparse

from lakerec.models import storage
from lakerec.models.data import Histories, TrainingData


class Content:
    """Cosine between an item's text vector and the recency-weighted mean vector of the history.

    Args:
        half_life: events after which an older item counts half.
    """

    name = "content"

    def __init__(self, half_life: float = 10.0) -> None:
        self.half_life = half_life
        self.vectors = np.zeros((0, 0), dtype=np.float32)

    def fit(self, data: TrainingData) -> None:
        if data.item_vectors is None:
            raise ValueError("content needs item vectors: run embed first")
        self.vectors = data.item_vectors.astype(np.float32)

    def score(self, histories: Histories) -> np.ndarray:
        profile = self._weights(histories) @ self.vectors
        norms = np.linalg.norm(profile, axis=1, keepdims=True)
        return np.asarray(profile / np.maximum(norms, 1e-12) @ self.vectors.T, dtype=np.float32)

    @property
    def reads_text(self) -> bool:
        return True

    def extended(self, vectors: np.ndarray) -> Content:
        """See `lakerec.models.newcomers`."""
        model = Content(self.half_life)
        model.vectors = np.concatenate([self.vectors, vectors.astype(np.float32)])
        return model

    def _weights(self, histories: Histories) -> sparse.csr_matrix:
        """Weight of each event in its history, [n, num_items]."""
        weight = np.exp2(-histories.ago / self.half_life).astype(np.float32)
        return sparse.csr_matrix((weight, (histories.rows, histories.items)), shape=(len(histories), len(self.vectors)))

    def save(self, folder: Path) -> None:
        storage.save(folder, self.name, {"vectors": self.vectors}, half_life=self.half_life)

    @classmethod
    def load(cls, folder: Path) -> Content:
        model = cls(storage.settings(folder)["half_life"])
        model.vectors = storage.arrays(folder)["vectors"]
        return model

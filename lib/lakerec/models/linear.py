"""Item-to-item models: a history's score for an item is the sum of the weights from the history's items to it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import sparse

from lakerec.models import storage
from lakerec.models.data import Histories, TrainingData


class ItemCF:
    """Cosine between items over the users who met them, each item keeping its nearest neighbours.

    Source: Sarwar et al., Item-based collaborative filtering recommendation algorithms, WWW 2001, section 3.1.1.
    """

    name = "item_cf"

    def __init__(self, neighbours: int = 100) -> None:
        self.neighbours = neighbours
        self.weights = sparse.csr_matrix((0, 0), dtype=np.float32)
        """Sparse float32 [num_items, num_items], from the item met to the item scored."""

    def fit(self, data: TrainingData) -> None:
        met = data.histories.matrix(data.num_items)
        together = (met.T @ met).tocoo()
        norms = np.sqrt(np.maximum(together.diagonal(), 1.0))
        cosine = together.data / norms[together.row] / norms[together.col]
        pairs = np.flatnonzero(together.row != together.col)
        best_first = pairs[np.lexsort((together.row[pairs], -cosine[pairs], together.col[pairs]))]
        counts = np.bincount(together.col[best_first], minlength=data.num_items)
        place = np.arange(len(best_first)) - np.repeat(np.cumsum(counts) - counts, counts)
        kept = best_first[place < self.neighbours]
        entries = (cosine[kept].astype(np.float32), (together.row[kept], together.col[kept]))
        self.weights = sparse.csr_matrix(entries, shape=(data.num_items, data.num_items))

    def score(self, histories: Histories) -> np.ndarray:
        scores = histories.matrix(self.weights.shape[0]) @ self.weights
        return np.asarray(scores.toarray(), dtype=np.float32)

    def save(self, folder: Path) -> None:
        arrays = {"data": self.weights.data, "indices": self.weights.indices, "indptr": self.weights.indptr}
        storage.save(folder, self.name, arrays, neighbours=self.neighbours)

    @classmethod
    def load(cls, folder: Path) -> ItemCF:
        model, arrays = cls(storage.settings(folder)["neighbours"]), storage.arrays(folder)
        size = len(arrays["indptr"]) - 1
        model.weights = sparse.csr_matrix((arrays["data"], arrays["indices"], arrays["indptr"]), shape=(size, size))
        return model


class Ease:
    """Linear autoencoder with a zero diagonal, in closed form: B = I - P / diag(P), P = (X'X + regularization · I)^-1.

    Time grows with items³ and memory with items²: `train.dense_items` bounds the catalogue it is fitted on.

    Source: Steck, Embarrassingly shallow autoencoders for sparse data, WWW 2019, equation 8.
    """

    name = "ease"

    def __init__(self, regularization: float = 200.0) -> None:
        self.regularization = regularization
        self.weights = np.zeros((0, 0), dtype=np.float32)
        """float32 [num_items, num_items], from the item met to the item scored."""

    def fit(self, data: TrainingData) -> None:
        met = data.histories.matrix(data.num_items)
        gram = (met.T @ met).toarray().astype(np.float64)
        gram[np.diag_indices(data.num_items)] += self.regularization
        inverse = np.linalg.inv(gram)
        weights = -inverse / np.diag(inverse)
        np.fill_diagonal(weights, 0.0)
        self.weights = weights.astype(np.float32)

    def score(self, histories: Histories) -> np.ndarray:
        return np.asarray(histories.matrix(len(self.weights)) @ self.weights, dtype=np.float32)

    def save(self, folder: Path) -> None:
        storage.save(folder, self.name, {"weights": self.weights}, regularization=self.regularization)

    @classmethod
    def load(cls, folder: Path) -> Ease:
        model = cls(storage.settings(folder)["regularization"])
        model.weights = storage.arrays(folder)["weights"]
        return model

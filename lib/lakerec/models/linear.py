"""Item-to-item models: a history's score for an item is the sum of the weights from the history's items to it.

Of a history that none leads away from, the number of users who met the item.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
from scipy import sparse
from scipy.linalg import lapack

from lakerec.errors import TrainingError
from lakerec.models import storage
from lakerec.models.data import EVENLY, Histories, Recency, TrainingData
from lakerec.models.popular import POPULARITY, FallsBack, popularity

COLUMNS_AT_ONCE = 1_000
"""Items whose neighbours are looked for together: memory holds their co-occurrences, not the whole catalogue's."""


class ItemCF(FallsBack):
    """Cosine between items over the users who met them, each item keeping its nearest neighbours.

    Source: Sarwar et al., Item-based collaborative filtering recommendation algorithms, WWW 2001, section 3.1.1.

    Args:
        neighbours: nearest items kept for an item.
        half_life_days: days after which an interaction counts half in the cosines; 0: never.
        recency: of the history that is asked about.
    """

    name = "item_cf"

    def __init__(self, neighbours: int = 100, half_life_days: float = 0.0, recency: Recency = EVENLY) -> None:
        self.neighbours, self.half_life_days, self.recency = neighbours, half_life_days, recency
        self.weights = sparse.csr_matrix((0, 0), dtype=np.float32)
        """Sparse float32 [num_items, num_items], from the item met to the item scored."""
        self.popularity = np.zeros(0, dtype=np.float32)

    def fit(self, data: TrainingData) -> None:
        self.popularity = popularity(data.histories, data.num_items)
        met = data.histories.matrix(data.num_items, self.half_life_days).tocsc()
        norms = np.sqrt(np.asarray(met.power(2).sum(axis=0)).ravel())
        norms[norms == 0] = 1.0
        columns = [
            self._nearest(met, norms, np.arange(start, min(start + COLUMNS_AT_ONCE, data.num_items)))
            for start in range(0, data.num_items, COLUMNS_AT_ONCE)
        ]
        self.weights = sparse.hstack(columns, format="csr", dtype=np.float32)

    def _nearest(self, met: sparse.csc_matrix, norms: np.ndarray, columns: np.ndarray) -> sparse.csc_matrix:
        """The cosines of some items to their nearest neighbours, [num_items, columns]."""
        together = (met.T @ met[:, columns]).tocoo()
        cosine = together.data / norms[together.row] / norms[columns[together.col]]
        pairs = np.flatnonzero(together.row != columns[together.col])
        best_first = pairs[np.lexsort((together.row[pairs], -cosine[pairs], together.col[pairs]))]
        counts = np.bincount(together.col[best_first], minlength=len(columns))
        place = np.arange(len(best_first)) - np.repeat(np.cumsum(counts) - counts, counts)
        kept = best_first[place < self.neighbours]
        entries = (cosine[kept], (together.row[kept], together.col[kept]))
        return sparse.csc_matrix(entries, shape=together.shape)

    def told(self, histories: Histories) -> np.ndarray:
        scores = histories.by_recency(self.weights.shape[0], self.recency) @ self.weights
        return np.asarray(scores.toarray(), dtype=np.float32)

    def save(self, folder: Path) -> None:
        arrays = {"data": self.weights.data, "indices": self.weights.indices, "indptr": self.weights.indptr}
        arrays[POPULARITY] = self.popularity
        settings = {"neighbours": self.neighbours, "half_life_days": self.half_life_days, "recency": asdict(self.recency)}
        storage.save(folder, self.name, arrays, **settings)

    @classmethod
    def load(cls, folder: Path) -> ItemCF:
        settings, arrays = storage.settings(folder), storage.arrays(folder)
        model = cls(settings["neighbours"], settings["half_life_days"], Recency(**settings["recency"]))
        size = len(arrays["indptr"]) - 1
        model.weights = sparse.csr_matrix((arrays["data"], arrays["indices"], arrays["indptr"]), shape=(size, size))
        model.popularity = arrays[POPULARITY]
        return model


class Ease(FallsBack):
    """Linear autoencoder with a zero diagonal, in closed form: B = I - P / diag(P), P = (X'X + regularization · I)^-1.

    Time grows with items³ and memory with items²: `train.dense_items` bounds the catalogue it is fitted on.

    Source: Steck, Embarrassingly shallow autoencoders for sparse data, WWW 2019, equation 8.

    Args:
        regularization: added to the diagonal of X'X.
        half_life_days: days after which an interaction counts half in X; 0: never.
        recency: of the history that is asked about.
    """

    name = "ease"

    def __init__(self, regularization: float = 200.0, half_life_days: float = 0.0, recency: Recency = EVENLY) -> None:
        self.regularization, self.half_life_days, self.recency = regularization, half_life_days, recency
        self.weights = np.zeros((0, 0), dtype=np.float32)
        """float32 [num_items, num_items], from the item met to the item scored."""
        self.popularity = np.zeros(0, dtype=np.float32)

    def fit(self, data: TrainingData) -> None:
        """Work out the weights.

        Raises:
            TrainingError: X'X with this regularization is singular to the machine.
        """
        self.popularity = popularity(data.histories, data.num_items)
        met = data.histories.matrix(data.num_items, self.half_life_days)
        gram = (met.T @ met).astype(np.float64).toarray(order="F")
        gram[np.diag_indices(data.num_items)] += self.regularization
        # By Cholesky and in place, which takes one matrix of memory; it fills the upper triangle.
        factor, failed = lapack.dpotrf(gram, overwrite_a=True)
        if failed:
            where = "train.regularization, train.choices or tune.space"
            raise TrainingError(f"ease: a regularization of {self.regularization:g} is too small here: raise it in {where}")
        inverse, _ = lapack.dpotri(factor, overwrite_c=True)
        scale = -1.0 / np.diag(inverse)
        upper = np.triu(inverse, 1).astype(np.float32)
        self.weights = (upper + upper.T) * scale.astype(np.float32)

    def told(self, histories: Histories) -> np.ndarray:
        return np.asarray(histories.by_recency(len(self.weights), self.recency) @ self.weights, dtype=np.float32)

    def save(self, folder: Path) -> None:
        arrays = {"weights": self.weights, POPULARITY: self.popularity}
        settings = {"regularization": self.regularization, "half_life_days": self.half_life_days}
        storage.save(folder, self.name, arrays, **settings, recency=asdict(self.recency))

    @classmethod
    def load(cls, folder: Path) -> Ease:
        settings, arrays = storage.settings(folder), storage.arrays(folder)
        model = cls(settings["regularization"], settings["half_life_days"], Recency(**settings["recency"]))
        model.weights, model.popularity = arrays["weights"], arrays[POPULARITY]
        return model

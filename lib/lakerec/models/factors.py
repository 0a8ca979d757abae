"""Implicit matrix factorization as a recommender: item factors, and a user's factors worked out of their history.

    item factors Y [num_items, f]   history → confidence 1 + alpha · r of what was met → x [f] → scores Y x

Spark's MLlib fits Y (`lakerec.stages.factorizing`); scoring needs no Spark, and knows no users: x is the closed form that
a user's half of an iteration solves, so for a training history it is the factor vector that MLlib has for that user.

Sources: Hu, Koren and Volinsky, Collaborative filtering for implicit feedback datasets, ICDM 2008, equation 4; Zhou et al.,
Large-scale parallel collaborative filtering for the Netflix prize, AAIM 2008 (regularization times the number of the user's
items, which MLlib does: pyspark's documentation, "Scaling of the regularization parameter").
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from scipy import sparse

from lakerec.models import storage
from lakerec.models.data import EVENLY, Histories, Recency, TrainingData
from lakerec.models.popular import POPULARITY, FallsBack

CELLS_AT_ONCE = 4_000_000
"""Numbers of the vectors, and of the equations, that are worked on together: 32 MB each."""


@dataclass(frozen=True)
class Equations:
    """A user's factors are left⁻¹ Σ right. Letters: r = users, m = items that the longest of their histories met."""

    rows: np.ndarray
    """int [r], which users."""
    factor: torch.Tensor
    """Cholesky factor of left = YᵀY + Yᵀ(C − I)Y + λ · items · I, float64 [r, f, f]."""
    right: torch.Tensor
    """What each item that was met adds to YᵀC p, float64 [r, m, f], in the order of the row; zeros behind its end."""


class Als(FallsBack):
    """Scores by factors that alternating least squares fitted.

    Args:
        factors: float32 [num_items, f]; zeros for an item that training never met.
        regularization: λ; times the number of a user's items it is added to the diagonal of their equations.
        alpha: confidence that an interaction adds.
        recency: of the history that is asked about: r of what was met long ago is smaller.
        popularity: how many users met each item, float32 [num_items]: the scores of a history without factors of its own.
    """

    name = "als"

    def __init__(
        self, factors: np.ndarray, regularization: float, alpha: float, popularity: np.ndarray, recency: Recency = EVENLY
    ) -> None:
        self.factors, self.popularity, self.recency = factors, popularity, recency
        self.regularization, self.alpha = regularization, alpha

    def fit(self, data: TrainingData) -> None:
        """Not here: the factors are fitted by `lakerec.stages.factorizing.fit_als`, which needs Spark."""
        raise TypeError("als is fitted by lakerec.stages.factorizing.fit_als")

    def fold_in(self, met: sparse.csr_matrix) -> np.ndarray:
        """Factors of users, float64 [n, f]: (YᵀY + Yᵀ(C − I)Y + λ · items · I)⁻¹ YᵀC p; zeros where nothing was met.

        Args:
            met: float [n, num_items], r of each interaction, above 0.
        """
        found = np.zeros((met.shape[0], self.factors.shape[1]))
        for each in self.equations(met):
            right = each.right.sum(dim=1)[:, :, None]
            found[each.rows] = torch.cholesky_solve(right, each.factor)[:, :, 0].numpy()
        return found

    def equations(self, met: sparse.csr_matrix) -> Iterator[Equations]:
        """Those of users whose histories are about as long, some at a time; see `fold_in`."""
        items = torch.from_numpy(self.factors).double()
        size = items.shape[1]
        padded = torch.cat([items, items.new_zeros(1, size)])
        whole, identity = items.T @ items, torch.eye(size, dtype=items.dtype)
        for rows in self._blocks(np.diff(met.indptr)):
            part = met[rows]
            lengths = np.diff(part.indptr)
            places = np.repeat(np.arange(len(rows)), lengths), np.arange(part.nnz) - np.repeat(part.indptr[:-1], lengths)
            own = np.full((len(rows), lengths.max()), len(items))
            added = np.zeros(own.shape)
            own[places], added[places] = part.indices, self.alpha * part.data
            vectors, confidence = padded[torch.from_numpy(own)], torch.from_numpy(added)[:, :, None]
            ridge = torch.from_numpy(self.regularization * np.maximum(lengths, 1))[:, None, None] * identity
            left = whole + (vectors * confidence).mT @ vectors + ridge
            yield Equations(rows, torch.linalg.cholesky(left), vectors * (1 + confidence))

    def _blocks(self, lengths: np.ndarray) -> Iterator[np.ndarray]:
        """Row numbers of histories that are about as long, so that little of what is held at a time is padding."""
        order, start = np.argsort(-lengths, kind="stable"), 0
        while start < len(order):
            cells = self.factors.shape[1] * max(int(lengths[order[start]]), self.factors.shape[1])
            rows = order[start : start + max(1, CELLS_AT_ONCE // cells)]
            yield rows
            start += len(rows)

    def told(self, histories: Histories) -> np.ndarray:
        users = self.fold_in(histories.by_recency(len(self.factors), self.recency))
        return np.asarray(users.astype(np.float32) @ self.factors.T)

    def save(self, folder: Path) -> None:
        settings = {"regularization": self.regularization, "alpha": self.alpha, "recency": asdict(self.recency)}
        storage.save(folder, self.name, {"factors": self.factors, POPULARITY: self.popularity}, **settings)

    @classmethod
    def load(cls, folder: Path) -> Als:
        settings, arrays = storage.settings(folder), storage.arrays(folder)
        recency = Recency(**settings["recency"])
        return cls(arrays["factors"], settings["regularization"], settings["alpha"], arrays[POPULARITY], recency)

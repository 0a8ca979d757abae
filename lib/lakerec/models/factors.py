"""Implicit matrix factorization as a recommender: item factors, and a user's factors worked out of their history.

    item factors Y [num_items, f]   history → confidence 1 + alpha · r of what was met → x [f] → scores Y x

Spark's MLlib fits Y (`lakerec.stages.factorizing`); scoring needs no Spark, and knows no users: x is the closed form that
a user's half of an iteration solves, so for a training history it is the factor vector that MLlib has for that user.

Sources: Hu, Koren and Volinsky, Collaborative filtering for implicit feedback datasets, ICDM 2008, equation 4; Zhou et al.,
Large-scale parallel collaborative filtering for the Netflix prize, AAIM 2008 (regularization times the number of the user's
items, which MLlib does: pyspark's documentation, "Scaling of the regularization parameter").
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import sparse

from lakerec.models import storage
from lakerec.models.data import Histories, TrainingData

ROWS_AT_ONCE = 1_024
"""Users whose equations are solved together: 34 MB at 64 factors."""


class Als:
    """Scores by factors that alternating least squares fitted.

    Args:
        factors: float32 [num_items, f]; zeros for an item that training never met.
        regularization: λ; times the number of a user's items it is added to the diagonal of their equations.
        alpha: confidence that an interaction adds.
    """

    name = "als"

    def __init__(self, factors: np.ndarray, regularization: float, alpha: float) -> None:
        self.factors = factors
        self.regularization, self.alpha = regularization, alpha

    def fit(self, data: TrainingData) -> None:
        """Not here: the factors are fitted by `lakerec.stages.factorizing.fit_als`, which needs Spark."""
        raise TypeError("als is fitted by lakerec.stages.factorizing.fit_als")

    def fold_in(self, met: sparse.csr_matrix) -> np.ndarray:
        """Factors of users, float64 [n, f]: (YᵀY + Yᵀ(C − I)Y + λ · items · I)⁻¹ YᵀC p; zeros where nothing was met.

        Args:
            met: float [n, num_items], r of each interaction, above 0.
        """
        items = self.factors.astype(np.float64)
        size = items.shape[1]
        whole = items.T @ items
        found = np.zeros((met.shape[0], size))
        for start in range(0, met.shape[0], ROWS_AT_ONCE):
            part = met[start : start + ROWS_AT_ONCE]
            left = np.repeat(whole[None], part.shape[0], axis=0)
            right = np.zeros((part.shape[0], size))
            for row, (begin, end) in enumerate(zip(part.indptr[:-1], part.indptr[1:], strict=True)):
                own, added = items[part.indices[begin:end]], self.alpha * part.data[begin:end]
                left[row] += (own.T * added) @ own
                right[row] = (1 + added) @ own
            diagonal = np.arange(size)
            left[:, diagonal, diagonal] += self.regularization * np.maximum(np.diff(part.indptr), 1)[:, None]
            found[start : start + ROWS_AT_ONCE] = np.linalg.solve(left, right[:, :, None])[:, :, 0]
        return found

    def score(self, histories: Histories) -> np.ndarray:
        users = self.fold_in(histories.matrix(len(self.factors)))
        return users.astype(np.float32) @ self.factors.T

    def save(self, folder: Path) -> None:
        storage.save(folder, self.name, {"factors": self.factors}, regularization=self.regularization, alpha=self.alpha)

    @classmethod
    def load(cls, folder: Path) -> Als:
        settings = storage.settings(folder)
        return cls(storage.arrays(folder)["factors"], settings["regularization"], settings["alpha"])

"""User-to-user: what those users have met whose items are most like a history's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
from scipy import sparse

from lakerec.models import storage
from lakerec.models.data import EVENLY, Histories, Recency, TrainingData
from lakerec.models.popular import FallsBack
from lakerec.models.topk import top_k

CELLS_AT_ONCE = 8_000_000
"""Cosines between histories and training users that are held at a time: 32 MB."""
LEAST_NORM = 1e-12


class UserCF(FallsBack):
    """An item's score is the sum of the cosines of the nearest training users who met it.

        cosine of two users = items that both met / √(items of one · items of the other)

    The model is the training histories. A user who is among them is their own nearest neighbour, which adds only what they
    have met. Of a larger log than `users`, neighbours are looked for among those whose last event is newest: time and
    memory do not grow beyond that. Who is like none of them gets the number of them who met the item.

    Sources: Resnick et al., GroupLens: an open architecture for collaborative filtering of netnews, CSCW 1994 (neighbours'
    weighted sum); Herlocker et al., An algorithmic framework for performing collaborative filtering, SIGIR 1999, section
    6 (the nearest ones only).

    Args:
        neighbours: nearest users that count.
        users: training users that are kept, at most.
        recency: of the history that is asked about: what was met long ago makes two users less alike.
    """

    name = "user_cf"

    def __init__(self, neighbours: int = 50, users: int = 50_000, recency: Recency = EVENLY) -> None:
        self.neighbours, self.users, self.recency = neighbours, users, recency
        self._keep(sparse.csr_matrix((0, 0), dtype=np.float32))

    def _keep(self, met: sparse.csr_matrix) -> None:
        self.met = met
        """Binary float32 [kept users, num_items]."""
        self.popularity = np.asarray(met.sum(axis=0), dtype=np.float32).ravel()

    def fit(self, data: TrainingData) -> None:
        histories = data.histories
        some = np.flatnonzero(histories.lengths)
        last = histories.times[histories.offsets[1:][some] - 1]
        kept = np.sort(some[np.argsort(-last, kind="stable")[: self.users]])
        self._keep(histories.take(kept).matrix(data.num_items))

    def told(self, histories: Histories) -> np.ndarray:
        scores = np.zeros((len(histories), self.met.shape[1]), dtype=np.float32)
        for part, nearest, cosines in self.nearest(histories):
            places = np.arange(len(nearest) + 1) * nearest.shape[1]
            shape = len(nearest), self.met.shape[0]
            near = sparse.csr_matrix((cosines.ravel(), nearest.ravel(), places), shape=shape)
            scores[part] = (near @ self.met).toarray()
        return scores

    def nearest(self, histories: Histories) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        """Some histories at a time: which, their nearest training users and the cosines with them, [rows, neighbours]."""
        people, num_items = self.met.shape
        by_item = unit_rows(self.met).T.tocsr()
        asked = unit_rows(histories.by_recency(num_items, self.recency))
        at_once = max(1, CELLS_AT_ONCE // max(1, people))
        for start in range(0, len(histories) if people else 0, at_once):
            part = slice(start, min(start + at_once, len(histories)))
            yield (part, *top_k((asked[part] @ by_item).toarray(), self.neighbours))

    def save(self, folder: Path) -> None:
        arrays = {"indices": self.met.indices, "indptr": self.met.indptr}
        settings = {"neighbours": self.neighbours, "users": self.users, "num_items": self.met.shape[1]}
        storage.save(folder, self.name, arrays, **settings, recency=asdict(self.recency))

    @classmethod
    def load(cls, folder: Path) -> UserCF:
        settings, arrays = storage.settings(folder), storage.arrays(folder)
        model = cls(settings["neighbours"], settings["users"], Recency(**settings["recency"]))
        indices, indptr = arrays["indices"], arrays["indptr"]
        ones = np.ones(len(indices), dtype=np.float32)
        model._keep(sparse.csr_matrix((ones, indices, indptr), shape=(len(indptr) - 1, settings["num_items"])))
        return model


def unit_rows(met: sparse.csr_matrix) -> sparse.csr_matrix:
    """Rows at unit length; a row of zeros stays one."""
    norms = np.sqrt(np.asarray(met.multiply(met).sum(axis=1)).ravel())
    scale = np.repeat(1 / np.maximum(norms, LEAST_NORM), np.diff(met.indptr)).astype(np.float32)
    return sparse.csr_matrix((met.data * scale, met.indices, met.indptr), shape=met.shape)

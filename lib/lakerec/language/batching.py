"""Batches that waste little: texts of like length together, as many as a budget of padded tokens holds.

lengths 3 9 4 8, budget 18 → sorted 9 8 | 4 3 → batches [1, 3], [2, 0]: 18 and 8 padded tokens
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

CPU_BUDGET, GPU_BUDGET = 1_024, 65_536
"""Padded tokens a batch: on a processor so few that a layer's values stay in its cache; on a GPU so many that it, and not
the queueing of its work, takes the time (MiniLM in bf16 on an H100: 16,384 give 4.4 M tokens/s, 65,536 give 6.3 M,
262,144 the same)."""
GPU_ENOUGH = 16_384
"""Tokens beyond which a GPU's batch is of one length or, padded, ends as soon as texts get much shorter."""
NEAR = 0.93
"""Of a batch's longest text: shorter ones begin a batch of their own where this one is large enough."""


def token_budget_batches(lengths: np.ndarray, budget: int, enough: int | None = None) -> list[np.ndarray]:
    """Indices of each batch, longest texts first, so that memory peaks at once and not at the end.

    A text longer than the budget is a batch of its own.

    Args:
        lengths: tokens of each text, int [n].
        budget: rows × longest row of a batch, at most.
        enough: tokens from which on texts of one length are batches of their own, which need no mask, and other batches end
            before a text that is much shorter; None: a batch ends where its budget does.

    >>> [batch.tolist() for batch in token_budget_batches(np.array([3, 9, 4, 8]), 18)]
    [[1, 3], [2, 0]]
    """
    order = np.argsort(-lengths, kind="stable")
    if enough is None:
        return _filled(order, lengths, budget, None)
    batches, others = [], [order[:0]]
    for rows in np.split(order, np.flatnonzero(np.diff(lengths[order])) + 1):
        tokens = int(lengths[rows].sum())
        if tokens >= enough:
            batches += np.array_split(rows, -(-len(rows) // max(1, budget // int(lengths[rows[0]]))))
        else:
            others.append(rows)
    batches += _filled(np.concatenate(others), lengths, budget, enough)
    return sorted(batches, key=lambda rows: -int(lengths[rows[0]]))


def _filled(order: np.ndarray, lengths: np.ndarray, budget: int, enough: int | None) -> list[np.ndarray]:
    """Batches of texts in this order, longest first, padded."""
    batches, start = [], 0
    while start < len(order):
        longest = max(1, int(lengths[order[start]]))
        rows = max(1, budget // longest)
        if enough is not None:
            near = np.count_nonzero(lengths[order[start : start + rows]] >= NEAR * longest)
            rows = min(rows, max(near, enough // longest))
        batches.append(order[start : start + rows])
        start += rows
    return batches


@dataclass(frozen=True)
class Ragged:
    """Rows of token ids of any lengths, each behind the one before."""

    ids: np.ndarray
    """int32 [tokens of all rows]."""
    lengths: np.ndarray
    """int64 [rows]."""

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]]) -> Ragged:
        lengths = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
        return cls(np.fromiter(itertools.chain.from_iterable(rows), dtype=np.int32, count=int(lengths.sum())), lengths)

    @classmethod
    def joined(cls, parts: Sequence[Ragged]) -> Ragged:
        """The rows of all, in order."""
        return cls(np.concatenate([part.ids for part in parts]), np.concatenate([part.lengths for part in parts]))

    @cached_property
    def starts(self) -> np.ndarray:
        """Where each row begins, int64 [rows]."""
        starts: np.ndarray = np.cumsum(self.lengths) - self.lengths
        return starts

    def block(self, rows: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Ids of some rows, or of all, int64 [n, longest], zero behind a row's end, and which are real, bool [n, longest].

        >>> Ragged.of([[7, 8], [], [9]]).block(np.array([2, 0]))[0].tolist()
        [[9, 0], [7, 8]]
        """
        lengths, starts = (self.lengths, self.starts) if rows is None else (self.lengths[rows], self.starts[rows])
        real = np.arange(lengths.max())[None, :] < lengths[:, None]
        block = np.zeros(real.shape, dtype=np.int64)
        block[real] = self.ids[(starts[:, None] + np.arange(real.shape[1])[None, :])[real]]
        return block, real


def padding_ratio(lengths: np.ndarray, batches: list[np.ndarray]) -> float:
    """Padded tokens over real ones: 1 is no waste."""
    padded = sum(len(batch) * int(lengths[batch].max()) for batch in batches)
    return padded / max(1, int(lengths.sum()))

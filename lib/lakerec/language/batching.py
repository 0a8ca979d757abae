"""Batches that waste little: texts of like length together, as many as a budget of padded tokens holds.

lengths 3 9 4 8, budget 18 → sorted 9 8 | 4 3 → batches [1, 3], [2, 0]: 18 and 8 padded tokens
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def token_budget_batches(lengths: np.ndarray, budget: int) -> list[np.ndarray]:
    """Indices of each batch, longest texts first, so that memory peaks at once and not at the end.

    A text longer than the budget is a batch of its own.

    Args:
        lengths: tokens of each text, int [n].
        budget: rows × longest row of a batch, at most.

    >>> [batch.tolist() for batch in token_budget_batches(np.array([3, 9, 4, 8]), 18)]
    [[1, 3], [2, 0]]
    """
    order = np.argsort(-lengths, kind="stable")
    batches, start = [], 0
    while start < len(order):
        rows = max(1, budget // max(1, int(lengths[order[start]])))
        batches.append(order[start : start + rows])
        start += rows
    return batches


def block_of(ids: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Token ids int64 [n, longest], zero behind a row's end, and which are real, bool of the same shape."""
    lengths = np.array([len(row) for row in ids])
    real = np.arange(lengths.max())[None, :] < lengths[:, None]
    block = np.zeros(real.shape, dtype=np.int64)
    block[real] = np.concatenate(ids)
    return block, real


def padding_ratio(lengths: np.ndarray, batches: list[np.ndarray]) -> float:
    """Padded tokens over real ones: 1 is no waste."""
    padded = sum(len(batch) * int(lengths[batch].max()) for batch in batches)
    return padded / max(1, int(lengths.sum()))

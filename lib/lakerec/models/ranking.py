"""Ranks inside the models room: what validation needs to choose epochs and weights. Reports come from `evaluation`."""

from __future__ import annotations

import numpy as np

from lakerec.models.data import Histories

TARGETS_AT_ONCE = 256
CELLS_AT_ONCE = 8_000_000
"""Scores compared at a time: 32 MB, and three times a quarter of it."""


def mask_seen(scores: np.ndarray, histories: Histories) -> np.ndarray:
    """Scores with -inf where the user has met the item; changes and gives the same array."""
    scores[histories.rows, histories.items] = -np.inf
    return scores


def mean_ndcg(scores: np.ndarray, targets: Histories, k: int) -> float:
    """Mean of `user_ndcg`."""
    return float(user_ndcg(scores, targets, k).mean())


def user_ndcg(scores: np.ndarray, targets: Histories, k: int) -> np.ndarray:
    """NDCG@k of each user, float [n]; the ideal list holds min(k, targets) hits.

    Equal scores rank in the order of their index, as `top_k` shows them: a model that scores all items alike gains nothing.

    Source: Järvelin and Kekäläinen, Cumulated gain-based evaluation of IR techniques, TOIS 2002.

    Args:
        scores: float [n, num_items], seen items at -inf.
    """
    rows = targets.rows
    wanted = scores[rows, targets.items]
    gain = np.zeros(len(wanted))
    places = np.arange(scores.shape[1])
    at_once = max(1, min(TARGETS_AT_ONCE, CELLS_AT_ONCE // max(1, scores.shape[1])))
    for start in range(0, len(wanted), at_once):
        part = slice(start, start + at_once)
        block, own = scores[rows[part]], wanted[part, None]
        before = (block > own) | ((block == own) & (places < targets.items[part, None]))
        rank = before.sum(axis=1) + 1
        gain[part] = np.where((rank <= k) & np.isfinite(wanted[part]), 1 / np.log2(rank + 1), 0.0)
    ideal = np.cumsum(1 / np.log2(np.arange(2, k + 2)))
    per_user = np.bincount(rows, weights=gain, minlength=len(targets))
    found: np.ndarray = per_user / ideal[np.minimum(targets.lengths, k) - 1]
    return found

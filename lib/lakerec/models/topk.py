"""Exact top-K over the whole catalogue, items already met left out."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from lakerec.models.data import Histories
from lakerec.models.protocol import Recommender
from lakerec.models.ranking import mask_seen

CELLS_AT_ONCE = 8_000_000
"""Scores held at a time: 32 MB, however many users and items there are."""


def recommend(
    model: Recommender, histories: Histories, k: int, num_items: int, hidden: np.ndarray | None = None
) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """The k best items that each user has not met, some users at a time: which, items [users, k], scores [users, k].

    Args:
        num_items: size of the catalogue that the model scores.
        hidden: dense items that nobody may be shown.
    """
    at_once = max(1, CELLS_AT_ONCE // num_items)
    for users, part in histories.parts(at_once):
        scores = mask_seen(np.array(model.score(part)), part)
        if hidden is not None:
            scores[:, hidden] = -np.inf
        yield (users, *top_k(scores, k))


def top_k(scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k best items of each row, best first; equal scores in the order of their index.

    Args:
        scores: float32 [n, num_items]; -inf marks what may not be shown. Changed in no way.

    Returns:
        items int32 [n, k], -1 where a row has fewer that may be shown; scores float32 [n, k].
    """
    k = min(k, scores.shape[1])
    block = torch.from_numpy(np.ascontiguousarray(scores))
    values, items = torch.topk(block, k, dim=1)
    floor = values[:, -1:]
    _lowest_indices(block, floor, values, items)
    best, places = values.numpy(), items.numpy()
    order = np.lexsort((places, -best), axis=1)
    best, places = np.take_along_axis(best, order, axis=1), np.take_along_axis(places, order, axis=1)
    return np.where(np.isfinite(best), places, -1).astype(np.int32), best


def _lowest_indices(block: torch.Tensor, floor: torch.Tensor, values: torch.Tensor, items: torch.Tensor) -> None:
    """Where more scores equal the k-th best than places are left, fill those places with the lowest indices; in place.

    torch.topk takes any of them, and which ones would depend on the machine.
    """
    at_floor = block == floor
    wanted = (values == floor).sum(dim=1)
    rows = torch.nonzero(at_floor.sum(dim=1) > wanted).ravel()
    if not len(rows):
        return
    chosen = at_floor[rows]
    chosen &= chosen.cumsum(dim=1) <= wanted[rows, None]
    last = torch.arange(items.shape[1]) >= items.shape[1] - wanted[rows, None]
    part = items[rows]
    part[last] = torch.nonzero(chosen)[:, 1]
    items[rows] = part

"""A reason in words for each recommendation, from evidence: the user's own items that are nearest in meaning."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

NAMED = 2
"""Items of the history that a reason names."""
CLOSE = 0.35
"""Cosine below which two texts have too little in common to be named together."""
MOST_SHARED = 3


def reasons(
    recommended: np.ndarray,
    history: np.ndarray,
    vectors: np.ndarray | None,
    titles: Sequence[str],
    categories: Sequence[Sequence[str]],
) -> list[str]:
    """One reason for each recommended item of one user.

    Args:
        recommended: int [k], dense items; -1 is passed over.
        history: int [m], dense items, oldest first.
        vectors: float32 [num_items, d], unit rows, zero where an item has no text; None: reasons without likeness.
        titles, categories: of every item, by dense index.
    """
    met = np.unique(history)
    shown = recommended[recommended >= 0]
    if vectors is None or not len(met):
        return [_by_category(item, met, categories) for item in shown]
    likeness = vectors[shown] @ vectors[met].T
    found = []
    for item, row in zip(shown, likeness, strict=True):
        order = np.argsort(-row, kind="stable")[:NAMED]
        near = [int(met[place]) for place in order if row[place] >= CLOSE]
        found.append(_by_likeness(item, near, titles, categories) if near else _by_category(item, met, categories))
    return found


def _by_likeness(item: int, near: list[int], titles: Sequence[str], categories: Sequence[Sequence[str]]) -> str:
    named = " and ".join(f"“{titles[other]}”" for other in near)
    shared = [name for name in categories[item] if all(name in categories[other] for other in near)][:MOST_SHARED]
    return f"because of {named}" + (f" (all {', '.join(shared)})" if shared else "")


def _by_category(item: int, met: np.ndarray, categories: Sequence[Sequence[str]]) -> str:
    """The category of the item that the history holds most of."""
    counts = {name: sum(name in categories[other] for other in met) for name in categories[item]}
    best = max(counts, key=lambda name: counts[name], default=None)
    if best is None or not counts[best]:
        return "people with a like history chose it"
    return f"{counts[best]} of your {len(met)} items are {best}"

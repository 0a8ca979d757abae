"""What an item of a history adds to a score: the score with it, less the score without it. For any model.

    history  a b c a d      without a  b c d        → score(a b c a d) − score(b c d)      all events of it are left out
                            without d  a b c a      → …

Only the items that were met last are left out, one at a time: so many scorings of a history there are. On MovieLens-100K the
score of the sequence model falls as far without the two named of 5 as without the two named of 20. Scores are
measured from their mean over the catalogue: what speaks for all items alike speaks for none. Contributions do not add up to
the score: what two items say together counts for both, or for none.

Source: Zeiler and Fergus, Visualizing and understanding convolutional networks, ECCV 2014, section 4.2 (occlusion).
"""

from __future__ import annotations

import numpy as np

from lakerec.models.compressed import CompressedSequence
from lakerec.models.data import Histories
from lakerec.models.protocol import Recommender
from lakerec.models.sequence import Sequence

LATEST, LATEST_IN_ORDER = 20, 5
"""Items of a history that are left out, those met last; of a model that reads it in order, to which these matter most."""
HISTORIES_AT_ONCE = 4_096
CELLS_AT_ONCE = 8_000_000
"""Scores held at a time: 32 MB."""


def without(histories: Histories, users: np.ndarray, items: np.ndarray, num_items: int) -> Histories:
    """The histories without all events of some of their items.

    Args:
        users, items: int [m], a history and an item of it each.

    >>> without(Histories.from_lists([[0, 1, 0], [0]]), np.array([0]), np.array([0]), 2).items.tolist()
    [1, 0]
    """
    gone = np.isin(histories.rows * num_items + histories.items, users * num_items + items)
    return histories.where(~gone)


def leave_one_out(
    model: Recommender, histories: Histories, met: Histories, items: np.ndarray, num_items: int, latest: int
) -> np.ndarray:
    """Contributions of the `latest` items of each history, float32 [met, k]; zeros of the items that were met before.

    Args:
        met: their distinct items, oldest first.
        items: int [n, k], asked about.
    """
    found = np.zeros((len(met.items), items.shape[1]), dtype=np.float32)
    whole, places = centred_scores(model, histories, items, num_items), np.flatnonzero(met.ago < latest)
    users, left_out = met.rows[places], met.items[places]
    for start in range(0, len(places), HISTORIES_AT_ONCE):
        part = slice(start, start + HISTORIES_AT_ONCE)
        asked = histories.take(users[part])
        shorter = without(asked, np.arange(len(asked)), left_out[part], num_items)
        found[places[part]] = whole[users[part]] - centred_scores(model, shorter, items[users[part]], num_items)
    return found


def centred_scores(model: Recommender, histories: Histories, items: np.ndarray, num_items: int) -> np.ndarray:
    """Scores of some items less the mean over the catalogue, float32 [n, k]; items: int [n, k]."""
    if isinstance(model, Sequence | CompressedSequence):
        return model.centred(histories, items)
    found = np.zeros(items.shape, dtype=np.float32)
    at_once = max(1, CELLS_AT_ONCE // num_items)
    for users, part in histories.parts(at_once):
        scores = model.score(part)
        found[users] = np.take_along_axis(scores, items[users], axis=1) - scores.mean(axis=1, keepdims=True)
    return found

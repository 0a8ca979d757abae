"""What a saved model holds of each item, by which it tells which events it has seen.

    learned     whether anything was learned of an item: nothing is of one that its events never named
    recounted   numbers that are counts of events, beside those that given events make

Not told by `learned`: content (learns nothing of items), mult_vae and a sequence model without texts (a softmax moves all
items), blend (its members tell). Counts are kept by popular and recent_popular, by those that fall back to what is popular
(user_cf, item_cf, ease, als), by two_tower and behaviour.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lakerec.columns import Models
from lakerec.models.data import Histories, TrainingData
from lakerec.models.moments import Moments
from lakerec.models.neighbours import UserCF
from lakerec.models.popular import POPULARITY, Popular, popularity
from lakerec.models.towers import item_statistics

COUNTED = (
    Models.POPULAR, Models.RECENT_POPULAR, Models.USER_CF, Models.ITEM_CF, Models.EASE, Models.ALS, Models.TWO_TOWER,
    Models.BEHAVIOUR,
)  # fmt: skip
"""Models that keep counts of events."""


def learned(settings: dict[str, Any], arrays: dict[str, np.ndarray]) -> np.ndarray | None:
    """Whether what is kept of an item is other than it was before training, bool [num_items]; None: it cannot be told.

    Args:
        settings, arrays: a saved model's, as of `lakerec.models.storage`.
    """
    match settings["model"]:
        case Models.POPULAR | Models.RECENT_POPULAR:
            return _any(arrays["counts"])
        case Models.USER_CF:
            return np.bincount(arrays["indices"], minlength=settings["num_items"]) > 0
        case Models.ITEM_CF:
            rows = np.diff(arrays["indptr"])
            return (rows > 0) | (np.bincount(arrays["indices"], minlength=len(rows)) > 0)
        case Models.EASE:
            return arrays["weights"].any(axis=0) | arrays["weights"].any(axis=1)
        case Models.ALS:
            return _any(arrays["factors"])
        case Models.TWO_TOWER:
            found = _any(arrays["met"]) | _any(arrays["statistics"])
            return found | _any(arrays["ids"]) if arrays["text"].shape[1] else found
        case Models.ATTENTION | Models.BEHAVIOUR:
            return _any(arrays["items.met"])
        case Models.SEQUENCE if arrays["text"].shape[1]:
            return _any(arrays["met"]) | _any(arrays["delta"])
    return None


def recounted(
    settings: dict[str, Any], arrays: dict[str, np.ndarray], histories: Histories
) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of each item that a model of `COUNTED` keeps, and what they are by these histories; [num_items, ..] each.

    Args:
        settings, arrays: a saved model's, as of `lakerec.models.storage`.
    """
    match settings["model"]:
        case Models.POPULAR | Models.RECENT_POPULAR:
            popular = Popular(settings["days"])
            popular.fit(TrainingData(histories, len(arrays["counts"])))
            return arrays["counts"], popular.counts
        case Models.USER_CF:
            people, num_items = UserCF(settings["neighbours"], settings["users"]), settings["num_items"]
            people.fit(TrainingData(histories, num_items))
            stored, own = (np.bincount(each, minlength=num_items) for each in (arrays["indices"], people.met.indices))
            return stored, own
        case Models.ITEM_CF | Models.EASE | Models.ALS:
            return arrays[POPULARITY], popularity(histories, len(arrays[POPULARITY]))
        case Models.TWO_TOWER:
            return arrays["statistics"], item_statistics(histories, len(arrays["statistics"]))[0]
        case Models.BEHAVIOUR:
            facts = arrays["item_facts"]
            moments, items = Moments(histories, len(facts)), np.arange(len(facts))
            return facts, moments.items(items, np.full(len(items), moments.now))
    raise ValueError(f"{settings['model']} keeps no counts")


def _any(values: np.ndarray) -> np.ndarray:
    """Whether an item's numbers are not all zero."""
    found: np.ndarray = values.reshape(len(values), -1).any(axis=1)
    return found

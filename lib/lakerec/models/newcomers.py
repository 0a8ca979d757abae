"""A fitted model for a catalogue that new items have joined: their text places them, and nothing is learned.

    content, two_tower, sequence, attention, behaviour    as an item with a text that training never met
    models of behaviour alone                             as an item that nobody met
    blend                                                 by its members; new items are among the cold ones

The scores of the items that it knew stay as they are, but for a blend's, which are measured by mean and spread over all.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from lakerec.columns import Models
from lakerec.models.blend import Blend
from lakerec.models.data import Histories, TrainingData
from lakerec.models.popular import FallsBack, as_scored, by_history
from lakerec.models.protocol import Recommender

LOWEST = (Models.MULT_VAE, Models.TWO_TOWER, Models.SEQUENCE, Models.ATTENTION, Models.BEHAVIOUR)
"""Models that give an item of which they know nothing no score of its own: it comes last. With the others it has 0."""


@runtime_checkable
class ReadsText(Protocol):
    """A model that can place an item by its text alone."""

    @property
    def reads_text(self) -> bool:
        """Whether it was fitted with texts, and kept how they were reduced."""

    def extended(self, vectors: np.ndarray) -> Recommender:
        """The model with new items behind its own: float32 [m, d], of the same encoder; zero rows have no text."""


def extended(model: Recommender, vectors: np.ndarray, num_items: int) -> Recommender:
    """The model with new items behind its own; item n stays item n.

    Args:
        vectors: float32 [m, d], those of the new items, by the encoder of the model's own.
        num_items: items that the model knows.
    """
    if isinstance(model, Blend):
        return _blend(model, vectors, num_items)
    if isinstance(model, ReadsText) and model.reads_text:
        return model.extended(vectors)
    return Unmet(model, num_items, len(vectors))


def _blend(blend: Blend, vectors: np.ndarray, num_items: int) -> Blend:
    whole = num_items + len(vectors)
    members = [extended(member, vectors, num_items) for member in blend.members]
    own = [replace(each, division=each.division.extended(whole)) for each in blend.own]
    cold = blend.cold and replace(blend.cold, items=np.append(blend.cold.items, np.arange(num_items, whole)))
    return Blend(members, blend.weights, own, cold)


class Unmet(FallsBack):
    """A model beside items that it knows nothing of; events of theirs are passed over.

    Args:
        num_items: items that the model knows; more: of which it knows nothing.
    """

    def __init__(self, model: Recommender, num_items: int, more: int) -> None:
        self.model, self.num_items, self.more = model, num_items, more
        self.name = model.name

    def fit(self, data: TrainingData) -> None:
        """Not here: it is made of a fitted model."""
        raise TypeError("a model with new items is made of a fitted one: newcomers.extended")

    def told(self, histories: Histories) -> np.ndarray:
        known = by_history(self.model, histories.only(np.arange(self.num_items), self.num_items + self.more))
        nothing = np.zeros((len(known), 1), dtype=np.float32)
        own = known.min(axis=1, keepdims=True) if self.name in LOWEST else nothing
        return np.concatenate([known, np.repeat(own, self.more, axis=1)], axis=1)

    def instead(self, told: np.ndarray) -> np.ndarray:
        told[:, : self.num_items] = as_scored(self.model, told[:, : self.num_items])
        return told

    def save(self, folder: Path) -> None:
        """Not here: it is made anew for each catalogue."""
        raise TypeError("a model with new items is not saved: the one that it was made of is")

    @classmethod
    def load(cls, folder: Path) -> Recommender:
        """Not here; see `save`."""
        raise TypeError("a model with new items is not saved")

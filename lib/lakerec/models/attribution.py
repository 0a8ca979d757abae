"""What of a history speaks for an item: how much each item that was met adds to the score of each one that is asked about.

    item_cf, ease, user_cf, als, content, two_tower, attention   exact: `lakerec.models.additive`
    behaviour                                                    by gradients: `integrated_gradients`
    sequence, distilled                                          the score less the one without it: `leave_one_out`; or by
                                                                 gradients, which takes longer by the item
    mult_vae, and whatever else is a recommender                 `leave_one_out`
    blend                                                        its members', by weight, in standard deviations of each
    popular, recent_popular                                      nothing: they do not look at the history

Contributions are measured from the mean over the catalogue (what speaks for all items alike speaks for none), and those of a
history compare with each other: above 0 an item speaks for what is asked about, below 0 against it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from lakerec.columns import Models
from lakerec.models.additive import ADDITIVE, beside_reference
from lakerec.models.behaviour import Behaviour
from lakerec.models.blend import Blend, member_weights
from lakerec.models.compressed import CompressedSequence
from lakerec.models.data import Histories
from lakerec.models.leave_one_out import LATEST, LATEST_IN_ORDER, leave_one_out
from lakerec.models.newcomers import Unmet
from lakerec.models.popular import Popular, by_history
from lakerec.models.protocol import Recommender
from lakerec.models.sequence import Sequence

Method = Literal["leave_one_out", "integrated_gradients"]
"""Of sequence models."""


@dataclass(frozen=True)
class Attributions:
    """Contributions of histories to scores."""

    met: Histories
    """The items of each history, each once, in the order in which they were met last."""
    values: np.ndarray
    """float32 [met, k]: what each adds to the score of each item that its history is asked about."""

    def shares(self) -> np.ndarray:
        """Shares of each history's contributions above 0, float32 [met, k]; zeros for the others.

        >>> met = Histories.from_lists([[4, 2, 5]])
        >>> Attributions(met, np.array([[3.0], [-1.0], [1.0]], np.float32)).shares().ravel().tolist()
        [0.75, 0.0, 0.25]
        """
        positive = np.maximum(self.values, 0)
        totals = np.zeros((len(self.met), self.values.shape[1]), dtype=np.float32)
        np.add.at(totals, self.met.rows, positive)
        found: np.ndarray = positive / np.maximum(totals[self.met.rows], np.finfo(np.float32).tiny)
        return found


def attributions(
    model: Recommender, histories: Histories, items: np.ndarray, num_items: int, method: Method = "leave_one_out"
) -> Attributions:
    """How much each item of the histories adds to the scores of the items asked about.

    Args:
        items: int [n, k], those of each history.
        num_items: size of the catalogue that the model scores.
    """
    met = histories.distinct(num_items)
    return Attributions(met, contributions(model, histories, met, items, num_items, method))


def contributions(
    model: Recommender, histories: Histories, met: Histories, items: np.ndarray, num_items: int, method: Method
) -> np.ndarray:
    """The same as float32 [met, k]; met: the histories' distinct items."""
    if isinstance(model, Popular):
        return np.zeros((len(met.items), items.shape[1]), dtype=np.float32)
    if isinstance(model, Unmet):
        return _beside_newcomers(model, histories, items, num_items, method)
    if isinstance(model, Blend):
        return _blended(model, histories, met, items, num_items, method)
    if type(model) in ADDITIVE:
        return ADDITIVE[type(model)](model, histories, met, items)
    if isinstance(model, Behaviour) or (isinstance(model, Sequence) and method == "integrated_gradients"):
        from lakerec.models.integrated_gradients import of_items  # a second, and a served model has no need of captum

        return of_items(model, histories, met, items)
    latest = LATEST_IN_ORDER if isinstance(model, Sequence | CompressedSequence) else LATEST
    return leave_one_out(model, histories, met, items, num_items, latest)


def _blended(
    blend: Blend, histories: Histories, met: Histories, items: np.ndarray, num_items: int, method: Method
) -> np.ndarray:
    """Members' contributions in their standard deviations over the catalogue, by weight; see `Blend.score`."""
    names = [member.name for member in blend.members]
    weights = member_weights(names, blend.weights, blend.own, histories)[:, :, None]
    lifted = np.zeros((len(histories), len(names), items.shape[1]), dtype=np.float32)
    if blend.cold is not None and Models.CONTENT in names:
        lifted[:, names.index(Models.CONTENT)] = blend.cold.text * np.isin(items, blend.cold.items)
    found = np.zeros((len(met.items), items.shape[1]), dtype=np.float32)
    for place, member in enumerate(blend.members):
        weight = weights[:, place] + lifted[:, place]
        if weight.any():
            spread = _spread(member, histories)
            scale = np.divide(weight, spread, out=np.zeros_like(weight), where=spread > 1e-9)
            found += scale[met.rows] * contributions(member, histories, met, items, num_items, method)
    return found


def _spread(member: Recommender, histories: Histories) -> np.ndarray:
    """Standard deviation over the catalogue, float32 [n, 1]; of the behaviour model, which takes long, over a part of it."""
    if not isinstance(member, Behaviour):
        return by_history(member, histories).std(axis=1, keepdims=True)
    nothing = np.zeros((len(histories), 0), dtype=np.int32)
    some = beside_reference(nothing, len(member.network.item_facts))
    asked = Histories(np.arange(len(some) + 1) * some.shape[1], some.ravel(), np.zeros(some.size, dtype=np.int64))
    return member.predict(histories, asked)[0].reshape(some.shape).std(axis=1, keepdims=True)


def _beside_newcomers(model: Unmet, histories: Histories, items: np.ndarray, num_items: int, method: Method) -> np.ndarray:
    """New items say nothing, and nothing says anything of them."""
    known = histories.where(histories.items < model.num_items)
    met = histories.distinct(num_items)
    asked = np.minimum(items, model.num_items - 1)
    found = np.zeros((len(met.items), items.shape[1]), dtype=np.float32)
    own = contributions(model.model, known, known.distinct(model.num_items), asked, model.num_items, method)
    found[met.items < model.num_items] = own
    return np.where((items < model.num_items)[met.rows], found, 0)

"""The blend of a train run: all that is chosen for it on validation, and its models on disk.

validation scores of the fitted models → weights → of slices of users, where these gain → the lift of cold items
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lakerec.columns import Models
from lakerec.models.blend import Blend, CrossFit, Tailored, Weights, blended, fit_weights, members_used
from lakerec.models.catalog import load, seeded
from lakerec.models.cold import ColdItems, Lift, cold_items, fit_cold
from lakerec.models.data import Histories, Holdout
from lakerec.models.slices import CATEGORIES, LENGTHS, Categories, Division, Lengths
from lakerec.models.tailoring import Tried, tailored
from lakerec.stages import arrays
from lakerec.stages.base import Context, Inputs
from lakerec.training_config import TrainConfig


@dataclass(frozen=True)
class Mixture:
    """What validation chose; of nothing where there was nothing to blend."""

    weights: Weights
    slices: Sequence[Tried] = ()
    lift: Lift | None = None
    value: float | None = None
    """NDCG@10 on validation of the common weights, each user's by weights that were fitted on others."""

    @property
    def own(self) -> list[Tailored]:
        """Weights of single slices that are kept."""
        return [each.kept for each in self.slices if each.kept is not None]

    def cold(self, known: Histories, num_items: int) -> ColdItems | None:
        """The lift of the items that are cold in these histories; None where nothing is lifted."""
        if self.lift is None or not (self.lift.chosen.bias or self.lift.chosen.text):
            return None
        return replace(self.lift.chosen, items=cold_items(known, num_items))

    def told(self) -> dict[str, Any]:
        """What was tried besides the common weights, for details and report."""
        return {"slices": [each.told() for each in self.slices], "cold": self.lift.told() if self.lift else None}


def mixture(
    scores: Mapping[str, np.ndarray],
    values: Mapping[str, float],
    holdout: Holdout,
    train: Histories,
    divisions: Sequence[Division],
    config: TrainConfig,
) -> Mixture:
    """Choose on the holdout.

    Args:
        scores: standardised scores of the models fitted on `train`, float32 [n, num_items]; values: their NDCG@10.
    """
    if not scores:
        return Mixture({})
    first = max(scores, key=values.__getitem__)
    weights = fit_weights(scores, holdout, first)
    judge = CrossFit(scores, holdout, first)
    found = Mixture(weights, tailored(judge, weights, divisions, config.slice_users), value=float(judge.common.mean()))
    whole = blended(scores, weights, found.own, holdout.histories)
    items = cold_items(train, whole.shape[1])
    return replace(found, lift=fit_cold(whole, scores.get(Models.CONTENT), holdout, items, config.cold_tolerance))


def divisions(context: Context, inputs: Inputs) -> list[Division]:
    """What users are divided by; a catalogue without categories has none of these."""
    wanted = context.config.train.slices
    found: list[Division] = [Lengths()] if LENGTHS in wanted else []
    if CATEGORIES in wanted:
        found.append(Categories.of_items(arrays.descriptions(context, inputs)[1]))
    return found


def save_blends(chosen: Mixture, known: Histories, num_items: int, folder: Path, seeds: list[int]) -> None:
    """A blend a seed beside the models in `folder`, which were fitted on `known`."""
    cold = chosen.cold(known, num_items)
    used = members_used(chosen.weights, chosen.own, cold)
    for seed in seeds:
        own = {Models.SEQUENCE: seeded(Models.SEQUENCE, seed, seeds)}
        folders = {name: own.get(name, name) for name in chosen.weights if name in used}
        blend = Blend([load(folder / place) for place in folders.values()], chosen.weights, chosen.own, cold)
        places = {name: f"../{place}" for name, place in folders.items()}
        blend.save_beside(folder / seeded(Models.BLEND, seed, seeds), places)

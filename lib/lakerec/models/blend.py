"""A weighted sum of other models' scores; the weights are fitted on validation, never on test.

A blend on disk names its members' folders: `save` puts them inside its own, `save_beside` points to where they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from lakerec.models import storage
from lakerec.models.data import Histories, Holdout, TrainingData
from lakerec.models.protocol import Recommender
from lakerec.models.ranking import mask_seen, mean_ndcg

GRID = (0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 1.0, 1.5)
"""Weights tried for one member while the others stay."""
ROUNDS = 3
FOLDS = 2


def standardise(scores: np.ndarray) -> np.ndarray:
    """Scores of each row with mean 0 and standard deviation 1; a constant row becomes zeros."""
    centred = scores - scores.mean(axis=1, keepdims=True)
    spread = centred.std(axis=1, keepdims=True)
    return np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 1e-9)


def fit_weights(scores: Mapping[str, np.ndarray], holdout: Holdout, first: str, k: int = 10) -> dict[str, float]:
    """Weights by coordinate ascent on NDCG@k, beginning with `first` alone.

    A weight moves only when that improves the validation value, so a member that does not help keeps 0.

    Args:
        scores: standardised scores of each member for the holdout's histories, float32 [n, num_items].
    """
    weights = {name: float(name == first) for name in scores}
    best = blended_value(scores, weights, holdout, k)
    for _ in range(ROUNDS):
        before = best
        for name in scores:
            for weight in GRID:
                trial = {**weights, name: weight}
                value = blended_value(scores, trial, holdout, k) if any(trial.values()) else 0.0
                if value > best + 1e-9:
                    weights, best = trial, value
        if best == before:
            break
    return weights


def cross_fitted_value(scores: Mapping[str, np.ndarray], holdout: Holdout, first: str, k: int = 10) -> float:
    """NDCG@k of blends on users whose targets had no part in their weights: each fold is judged by the others' weights.

    What the weights reach on the users they were fitted on flatters a blend beside models that saw none of them.
    """
    total = 0.0
    fold = np.arange(len(holdout.histories)) % FOLDS
    for own in range(min(FOLDS, len(fold))):
        judged = np.flatnonzero(fold == own)
        others = np.flatnonzero(fold != own) if len(fold) > 1 else judged
        weights = fit_weights({name: value[others] for name, value in scores.items()}, holdout.take(others), first, k)
        value = blended_value({name: value[judged] for name, value in scores.items()}, weights, holdout.take(judged), k)
        total += value * len(judged) / len(fold)
    return total


def blended_value(scores: Mapping[str, np.ndarray], weights: Mapping[str, float], holdout: Holdout, k: int = 10) -> float:
    """NDCG@k on the holdout of standardised scores, summed by weight."""
    total = sum(weight * scores[name] for name, weight in weights.items() if weight)
    return mean_ndcg(mask_seen(np.array(total), holdout.histories), holdout.targets, k)


class Blend:
    """Sum of the members' standardised scores by weight."""

    name = "blend"

    def __init__(self, members: Sequence[Recommender], weights: Mapping[str, float]) -> None:
        self.members = [member for member in members if weights.get(member.name)]
        self.weights = {member.name: weights[member.name] for member in self.members}

    def fit(self, data: TrainingData) -> None:
        """Not here: its members are fitted each for itself, its weights by `fit_weights`."""
        raise TypeError("a blend is made of fitted members and of weights from fit_weights")

    def score(self, histories: Histories) -> np.ndarray:
        parts = [self.weights[member.name] * standardise(member.score(histories)) for member in self.members]
        return np.sum(parts, axis=0, dtype=np.float32)

    def save(self, folder: Path) -> None:
        for member in self.members:
            member.save(folder / member.name)
        self.save_beside(folder, {member.name: member.name for member in self.members})

    def save_beside(self, folder: Path, places: Mapping[str, str]) -> None:
        """Write the weights, and each member's place as a path relative to `folder`; members are left where they are."""
        folder.mkdir(parents=True, exist_ok=True)
        members = {member.name: places[member.name] for member in self.members}
        text = json.dumps({"model": self.name, "weights": self.weights, "members": members}, indent=1)
        (folder / storage.SETTINGS).write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Blend:
        from lakerec.models.catalog import load

        settings = storage.settings(folder)
        return cls([load(folder / place) for place in settings["members"].values()], settings["weights"])

"""A weighted sum of other models' scores; the weights are fitted on validation, never on test.

A blend on disk names its members' folders: `save` puts them inside its own, `save_beside` points to where they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from lakerec.columns import Models
from lakerec.models import slices, storage
from lakerec.models.cold import ColdItems
from lakerec.models.data import Histories, Holdout, TrainingData
from lakerec.models.popular import by_history
from lakerec.models.protocol import Recommender
from lakerec.models.ranking import mask_seen, user_ndcg
from lakerec.models.slices import Division

GRID = (0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 1.0, 1.5)
"""Weights tried for one member while the others stay."""
ROUNDS = 3
FOLDS = 2

COLD = "cold"
Weights = dict[str, float]
"""Of members, by name."""


def standardise(scores: np.ndarray) -> np.ndarray:
    """Scores of each row with mean 0 and standard deviation 1; a constant row becomes zeros."""
    centred = scores - scores.mean(axis=1, keepdims=True)
    spread = centred.std(axis=1, keepdims=True)
    return np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 1e-9)


def fit_weights(
    scores: Mapping[str, np.ndarray], holdout: Holdout, first: str, k: int = 10, begin: Weights | None = None
) -> Weights:
    """Weights by coordinate ascent on NDCG@k, beginning with `begin`, or with `first` alone.

    A weight moves only when that improves the validation value, so a member that does not help keeps 0.

    Args:
        scores: standardised scores of each member for the holdout's histories, float32 [n, num_items].
    """
    weights = dict(begin or {name: float(name == first) for name in scores})
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
    return float(CrossFit(scores, holdout, first, k).common.mean())


class CrossFit:
    """Values of users by weights that were fitted on others."""

    def __init__(self, scores: Mapping[str, np.ndarray], holdout: Holdout, first: str, k: int = 10) -> None:
        self.scores, self.holdout, self.first, self.k = scores, holdout, first, k
        self.fold = np.arange(len(holdout.histories)) % FOLDS
        self.common = np.zeros(len(self.fold))
        """NDCG@k of each user by weights of all users in the other folds, float [n]."""
        self.of_fold: list[Weights] = []
        """The weights that judged each fold."""
        for judged, others in self._folds(np.arange(len(self.fold))):
            self.of_fold.append(self.weights(others if len(others) else judged))
            self.common[judged] = self._values(judged, self.of_fold[-1])

    def own(self, users: np.ndarray) -> np.ndarray:
        """NDCG@k of these users by weights of theirs in the other folds, which begin with the common ones; float [users]."""
        found = np.zeros(len(self.fold))
        for (judged, others), begin in zip(self._folds(users), self.of_fold, strict=True):
            found[judged] = self._values(judged, self.weights(others, begin) if len(others) else begin)
        return found[users]

    def weights(self, users: np.ndarray, begin: Weights | None = None) -> Weights:
        """Fitted on these users; see `fit_weights`."""
        return fit_weights(self._scores(users), self.holdout.take(users), self.first, self.k, begin)

    def _folds(self, users: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """For each fold, those of the users who are in it and the others."""
        for own in range(FOLDS):
            yield users[self.fold[users] == own], users[self.fold[users] != own]

    def _values(self, users: np.ndarray, weights: Weights) -> np.ndarray:
        return user_values(self._scores(users), weights, self.holdout.take(users), self.k) if len(users) else np.zeros(0)

    def _scores(self, users: np.ndarray) -> dict[str, np.ndarray]:
        return {name: value[users] for name, value in self.scores.items()}


def blended_value(scores: Mapping[str, np.ndarray], weights: Mapping[str, float], holdout: Holdout, k: int = 10) -> float:
    """NDCG@k on the holdout of standardised scores, summed by weight."""
    return float(user_values(scores, weights, holdout, k).mean())


def user_values(scores: Mapping[str, np.ndarray], weights: Mapping[str, float], holdout: Holdout, k: int) -> np.ndarray:
    """The same of each user, float [n]."""
    total = sum(weight * scores[name] for name, weight in weights.items() if weight)
    return user_ndcg(mask_seen(np.array(total), holdout.histories), holdout.targets, k)


@dataclass(frozen=True)
class Tailored:
    """Weights for the histories of one slice."""

    division: Division
    slice: int
    """Number of the slice in the division."""
    weights: Weights


def member_weights(
    names: Sequence[str], weights: Mapping[str, float], own: Sequence[Tailored], histories: Histories
) -> np.ndarray:
    """The weight of each member for each history, float32 [n, members]."""
    found = np.tile([weights.get(name, 0.0) for name in names], (len(histories), 1)).astype(np.float32)
    free = np.ones(len(histories), dtype=bool)
    for each in own:
        rows = free & (each.division.of(histories) == each.slice)
        found[rows] = [each.weights.get(name, 0.0) for name in names]
        free &= ~rows
    return found


def members_used(weights: Mapping[str, float], own: Sequence[Tailored], cold: ColdItems | None) -> set[str]:
    """Names of the members that have a part in any score."""
    every = [weights, *(each.weights for each in own), {Models.CONTENT: cold.text if cold else 0.0}]
    return {name for each in every for name, weight in each.items() if weight}


def blended(
    scores: Mapping[str, np.ndarray], weights: Mapping[str, float], own: Sequence[Tailored], histories: Histories
) -> np.ndarray:
    """Standardised scores of members, each float32 [n, num_items], summed by weight."""
    by_member = member_weights(list(scores), weights, own, histories)
    parts = (by_member[:, [place]] * part for place, part in enumerate(scores.values()) if by_member[:, place].any())
    return sum(parts, np.zeros_like(next(iter(scores.values()))))


class Blend:
    """Sum of the members' standardised scores by weight; a history of a slice with weights of its own is scored by these.

    Args:
        own: such slices; of several that a history is in, the first one counts.
        cold: items that are lifted, by the scores of the member `content` among others.
    """

    name = "blend"

    def __init__(
        self,
        members: Sequence[Recommender],
        weights: Mapping[str, float],
        own: Sequence[Tailored] = (),
        cold: ColdItems | None = None,
    ) -> None:
        used = members_used(weights, own, cold)
        self.members = [member for member in members if member.name in used]
        self.weights = {member.name: weights.get(member.name, 0.0) for member in self.members}
        self.own, self.cold = list(own), cold

    def fit(self, data: TrainingData) -> None:
        """Not here: its members are fitted each for itself, its weights by `fit_weights`."""
        raise TypeError("a blend is made of fitted members and of weights from fit_weights")

    def score(self, histories: Histories) -> np.ndarray:
        scores = {member.name: standardise(by_history(member, histories)) for member in self.members}
        whole = blended(scores, self.weights, self.own, histories)
        return whole if self.cold is None else self.cold.lifted(whole, scores.get(Models.CONTENT))

    def save(self, folder: Path) -> None:
        for member in self.members:
            member.save(folder / member.name)
        self.save_beside(folder, {member.name: member.name for member in self.members})

    def save_beside(self, folder: Path, places: Mapping[str, str]) -> None:
        """Write the weights, and each member's place as a path relative to `folder`; members are left where they are."""
        folder.mkdir(parents=True, exist_ok=True)
        members = {member.name: places[member.name] for member in self.members}
        divisions = {own.division.kind: slices.settings(own.division) for own in self.own}
        own = [{"kind": own.division.kind, "slice": own.slice, "weights": own.weights} for own in self.own]
        whole = {"model": self.name, "weights": self.weights, "members": members, "divisions": divisions, "own": own}
        if self.cold is not None:
            whole |= {"cold": {"bias": self.cold.bias, "text": self.cold.text}}
            save_file({COLD: self.cold.items.astype(np.int32)}, folder / storage.WEIGHTS)
        (folder / storage.SETTINGS).write_text(json.dumps(whole, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Blend:
        from lakerec.models.catalog import load

        found = storage.settings(folder)
        divisions = {kind: slices.from_settings(each) for kind, each in found.get("divisions", {}).items()}
        own = [Tailored(divisions[each["kind"]], each["slice"], each["weights"]) for each in found.get("own", [])]
        cold = ColdItems(storage.arrays(folder)[COLD], **found["cold"]) if "cold" in found else None
        return cls([load(folder / place) for place in found["members"].values()], found["weights"], own, cold)

"""A blend's weights for single slices of users, kept where cross-fitting says that the slice gains more than by chance.

    validation users ─ folds ─► common weights of the other folds ─► value of each user
              └ of a slice ───► weights of the slice's users in the other folds, beginning with the common ones ─► value
    mean of the differences > LEAST_ERRORS standard errors → the slice's own weights, fitted on all its users

Divisions come one after the other, and a user who has own weights already is left out of the later ones; so a history has
one set of weights at most, and each slice is judged on the users whom it would serve.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lakerec.models.blend import FOLDS, CrossFit, Tailored, Weights
from lakerec.models.slices import Division

LEAST_ERRORS = 2.0
"""Standard errors of the mean difference that it has to exceed: by chance alone, one slice in 44 does."""


@dataclass(frozen=True)
class Tried:
    """What validation said of a slice's own weights."""

    division: Division
    slice: int
    users: int
    common: float
    """NDCG@k of the slice's users by the common weights, cross-fitted."""
    own: float
    """The same by weights of the slice, cross-fitted."""
    error: float
    """Standard error of the difference."""
    kept: Tailored | None
    """Weights fitted on all of the slice's users; None where the common ones stay."""

    def told(self) -> dict[str, str | float | bool]:
        """For details and report."""
        return {
            "slices": self.division.kind, "name": self.division.names[self.slice], "users": self.users,
            "common": self.common, "own": self.own, "error": self.error, "kept": self.kept is not None,
        }  # fmt: skip


def tailored(judge: CrossFit, common: Weights, divisions: Sequence[Division], least: int) -> list[Tried]:
    """Try every slice of the divisions that has at least `least` users of the judge's.

    Args:
        common: weights fitted on all users, with which a slice's own begin.
    """
    histories = judge.holdout.histories
    free, tried = np.ones(len(histories), dtype=bool), []
    for division in divisions:
        labels = division.of(histories)
        for number in range(len(division.names)):
            users = np.flatnonzero(free & (labels == number))
            if len(users) >= max(least, FOLDS):
                tried.append(_tried(judge, common, division, number, users))
                free[users] &= tried[-1].kept is None
    return tried


def _tried(judge: CrossFit, common: Weights, division: Division, number: int, users: np.ndarray) -> Tried:
    own, usual = judge.own(users), judge.common[users]
    error = float((own - usual).std(ddof=1) / np.sqrt(len(users)))
    better = (own - usual).mean() > max(LEAST_ERRORS * error, 1e-9)
    kept = Tailored(division, number, judge.weights(users, common)) if better else None
    return Tried(division, number, len(users), float(usual.mean()), float(own.mean()), error, kept)

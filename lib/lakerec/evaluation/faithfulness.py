"""Whether a reason names what a score rests on: its evidence removed, the score falls further than without other evidence.

    score s of the item that leads a list, in standard deviations over the catalogue
        comprehensiveness    s − s without the items that its reason names
        of a random reason   s − s without as many other items of the same history

The two are of the same user, so that their difference has a paired interval. A reason that names anything has a difference
of about 0.

Source: DeYoung et al., ERASER: a benchmark to evaluate rationalized NLP models, ACL 2020, section 4.2 (comprehensiveness).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lakerec.evaluation.intervals import bootstrap_interval


@dataclass(frozen=True)
class Faithfulness:
    """Means over users."""

    users: int
    named: float
    """How far the score falls without the evidence that is named."""
    drawn: float
    """How far without as much other evidence, drawn at random."""
    ci_low: float
    ci_high: float
    """95 % interval of named − drawn."""


def others(met: Sequence[np.ndarray], named: Sequence[np.ndarray], seed: int) -> list[np.ndarray]:
    """For each user as many items as are named of them, drawn from the others that they met; int [n] of arrays.

    Raises:
        ValueError: a user met fewer others.

    >>> others([np.array([3, 5, 7, 9])], [np.array([3, 9])], seed=1)[0].tolist() in ([5, 7], [7, 5])
    True
    """
    rng = np.random.default_rng(seed)
    return [
        rng.choice(np.setdiff1d(own, evidence), len(evidence), replace=False)
        for own, evidence in zip(met, named, strict=True)
    ]


def faithfulness(
    whole: np.ndarray, without_named: np.ndarray, without_drawn: np.ndarray, resamples: int, seed: int
) -> Faithfulness:
    """Compare the two removals.

    Args:
        whole, without_named, without_drawn: the score of each user's item, float [n].
        resamples: of the bootstrap over users.
    """
    if not len(whole):
        nothing = float("nan")
        return Faithfulness(0, nothing, nothing, nothing, nothing)
    low, high = bootstrap_interval(without_drawn - without_named, resamples, seed)
    named, drawn = (whole - without_named).mean(), (whole - without_drawn).mean()
    return Faithfulness(len(whole), float(named), float(drawn), low, high)

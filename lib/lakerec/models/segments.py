"""Groups of like users: how many there are, their centres, and which one is which from run to run.

    vectors → for each number k: k-means on all and on random halves → silhouette, stability → k → centres

Source: k-means++, Arthur and Vassilvitskii, SODA 2007; silhouette, Rousseeuw 1987; stability as agreement (adjusted Rand
index, Hubert and Arabie 1985) of clusterings of halves, after Ben-Hur, Elisseeff and Guyon, PSB 2002.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lakerec.vectors import unit

REPEATS, STARTS = 3, 4
MEASURED = 4_000
"""Users that a silhouette is worked out of: it compares each with each."""
SAME = 0.5
"""Cosine of two centres from which on they may be the same segment."""


@dataclass(frozen=True)
class Candidate:
    """One number of segments."""

    number: int
    silhouette: float
    """From -1 to 1, by cosine: how much nearer users are to their own segment than to the next."""
    stability: float
    """1: halves of the users are divided alike; 0: as by chance."""

    @property
    def score(self) -> float:
        """What the number is chosen by."""
        return max(0.0, self.silhouette) * max(0.0, self.stability)


@dataclass(frozen=True)
class Segmentation:
    """The chosen number, and what it was chosen among."""

    candidates: list[Candidate]
    centres: np.ndarray
    """float32 [k, d], unit length."""


def segment(vectors: np.ndarray, numbers: Sequence[int], seed: int) -> Segmentation:
    """Divide unit vectors [n, d] into the number of segments with the highest silhouette × stability, the smaller of equals.

    Numbers that are not below half the number of users are left out: stability divides halves of the users.

    Raises:
        ValueError: no number is below half the number of users.
    """
    possible = [number for number in sorted(set(numbers)) if number < len(vectors) / 2]
    if not possible:
        raise ValueError(f"{len(vectors)} users are too few for {min(numbers)} segments")
    candidates = [_candidate(vectors, number, seed) for number in possible]
    best = max(candidates, key=lambda each: (each.score, -each.number))
    return Segmentation(candidates, _fitted(vectors, best.number, seed))


def nearest(vectors: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """The segment of each vector, int64 [n]: the centre of highest cosine."""
    found: np.ndarray = (vectors @ centres.T).argmax(axis=1)
    return found


def numbered(centres: np.ndarray, before: np.ndarray, numbers: Sequence[int], used: Sequence[int] = ()) -> list[int]:
    """Numbers for centres: those of a run before where a centre is most like one of its, new ones else.

    The pairs that are most alike together (Hungarian method); under a cosine of `SAME` they are not the same.

    Args:
        before: float [m, d], centres of the run before, which may be none.
        numbers: theirs.
        used: others that are not to be given again.
    """
    from scipy.optimize import linear_sum_assignment

    given: dict[int, int] = {}
    if len(before):
        alike = centres @ before.T
        for new, old in zip(*linear_sum_assignment(-alike), strict=True):
            if alike[new, old] >= SAME:
                given[int(new)] = numbers[old]
    first = max((*numbers, *used), default=-1) + 1
    fresh = iter(range(first, first + len(centres)))
    return [given[place] if place in given else next(fresh) for place in range(len(centres))]


def _candidate(vectors: np.ndarray, number: int, seed: int) -> Candidate:
    from sklearn.metrics import adjusted_rand_score, silhouette_score

    labels = nearest(vectors, _fitted(vectors, number, seed))
    chance = np.random.default_rng((seed, number))
    measured = chance.permutation(len(vectors))[:MEASURED]
    several = len(np.unique(labels[measured])) > 1
    silhouette = silhouette_score(vectors[measured], labels[measured], metric="cosine") if several else 0.0
    agreements = []
    for repeat in range(REPEATS):
        halves = np.array_split(chance.permutation(len(vectors)), 2)
        both = [nearest(vectors, _fitted(vectors[half], number, seed + repeat)) for half in halves]
        agreements.append(adjusted_rand_score(*both))
    return Candidate(number, float(silhouette), float(np.mean(agreements)))


def _fitted(vectors: np.ndarray, number: int, seed: int) -> np.ndarray:
    """Centres of k-means, float32 [number, d], unit length."""
    from sklearn.cluster import KMeans

    centres = KMeans(number, n_init=STARTS, random_state=seed).fit(vectors).cluster_centers_
    return unit(centres).astype(np.float32)

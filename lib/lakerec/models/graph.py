"""Entities of a knowledge graph as vectors: like neighbourhoods, like vectors.

    edges → adjacency, rows by degree → random directions passed on along edges, step by step → weighted sum of the steps

Source: FastRP, Chen et al., Fast and accurate network embeddings via very sparse random projection, CIKM 2019.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from lakerec.vectors import unit

STEPS = (0.0, 1.0, 1.0, 2.0)
"""Weight of what comes over one edge, two edges, …; one alone tells only which other end an edge has."""
DEGREE_POWER = -0.5
"""Of an entity's degree in the strength of its own direction: the commonest, which all share, tell least."""


def entity_vectors(heads: np.ndarray, tails: np.ndarray, entities: int, dimensions: int, seed: int) -> np.ndarray:
    """float32 [entities, dimensions], unit length; zero for an entity without edges. Edges count both ways.

    Args:
        heads, tails: int [edges], entities from 0.
    """
    ones = np.ones(len(heads), dtype=np.float32)
    one_way = sparse.csr_matrix((ones, (heads, tails)), shape=(entities, entities))
    both = (one_way + one_way.T).tocsr()
    both.data[:] = 1.0
    degree = np.asarray(both.sum(axis=1)).ravel()
    passed = sparse.diags(1 / np.maximum(degree, 1)) @ both
    current = _directions(entities, dimensions, seed) * (np.maximum(degree, 1) ** DEGREE_POWER)[:, None]
    found = np.zeros((entities, dimensions), dtype=np.float32)
    for weight in STEPS:
        current = passed @ current
        found += weight * unit(current).astype(np.float32)
    return unit(found)


def indexed(ends: Sequence[Sequence[str]]) -> tuple[list[str], list[np.ndarray]]:
    """Names sorted, and each list's places among them."""
    names = sorted({name for end in ends for name in end})
    place = {name: number for number, name in enumerate(names)}
    return names, [np.array([place[name] for name in end], dtype=np.int64) for end in ends]


def _directions(entities: int, dimensions: int, seed: int) -> np.ndarray:
    """Very sparse random projection (Li, Hastie and Church, 2006): -1, 0, 1 with two thirds zeros."""
    draw = np.random.default_rng(seed).random((entities, dimensions), dtype=np.float32)
    return np.where(draw < 1 / 6, -1.0, np.where(draw > 5 / 6, 1.0, 0.0)).astype(np.float32)

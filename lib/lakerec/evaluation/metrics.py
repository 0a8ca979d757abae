"""Ranking metrics per user, from hits in rank order. Letters: n = users, depth = length of the lists, k = cut-off.

Each function takes `hits` (bool [n, depth]: whether rank r holds a target), `targets` (int [n]: targets of each user, at
least 1) and k, and gives float64 [n]. What a user gets does not depend on who else is asked about, to the bit, so that users
may come in any blocks. `tests/evaluation/test_independent.py` compares them with RecTools.

Source, where none is named: Herlocker et al., Evaluating collaborative filtering recommender systems, TOIS 2004.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lakerec.columns import Metrics


def precision(hits: np.ndarray, targets: np.ndarray, k: int) -> np.ndarray:
    """Share of the first k places that hold a target: hits@k / k.

    >>> precision(np.array([[True, False, True]]), np.array([2]), 2)
    array([0.5])
    """
    return hits[:, :k].sum(axis=1) / k


def recall(hits: np.ndarray, targets: np.ndarray, k: int) -> np.ndarray:
    """Share of the targets that stand in the first k places: hits@k / targets.

    >>> recall(np.array([[True, False, True]]), np.array([4]), 3)
    array([0.5])
    """
    return hits[:, :k].sum(axis=1) / targets


def f1(hits: np.ndarray, targets: np.ndarray, k: int) -> np.ndarray:
    """Harmonic mean of precision@k and recall@k: 2 · hits@k / (k + targets).

    Source: van Rijsbergen, Information retrieval, 1979, chapter 7.

    >>> f1(np.array([[True, False, True]]), np.array([1]), 3)
    array([1.])
    """
    return 2 * hits[:, :k].sum(axis=1) / (k + targets)


def hit_rate(hits: np.ndarray, targets: np.ndarray, k: int) -> np.ndarray:
    """1 where any of the first k places holds a target.

    Source: Deshpande and Karypis, Item-based top-N recommendation algorithms, TOIS 2004.

    >>> hit_rate(np.array([[False, True], [False, False]]), np.array([1, 1]), 2)
    array([1., 0.])
    """
    return hits[:, :k].any(axis=1).astype(float)


def mrr(hits: np.ndarray, targets: np.ndarray, k: int) -> np.ndarray:
    """Reciprocal rank of the first hit in the first k places, 0 without one.

    Source: Voorhees, The TREC-8 question answering track report, 1999, section 3.

    >>> mrr(np.array([[False, True, True], [False, False, False]]), np.array([2, 1]), 3)
    array([0.5, 0. ])
    """
    first = hits[:, :k].argmax(axis=1) + 1
    return np.where(hits[:, :k].any(axis=1), 1 / first, 0.0)


def ndcg(hits: np.ndarray, targets: np.ndarray, k: int) -> np.ndarray:
    """Discounted cumulative gain over that of the ideal list, which begins with min(k, targets) hits.

    Source: Järvelin and Kekäläinen, Cumulated gain-based evaluation of IR techniques, TOIS 2002, with log2(rank + 1).

    >>> ndcg(np.array([[False, True], [True, False]]), np.array([1, 1]), 2).round(4)
    array([0.6309, 1.    ])
    """
    discount = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.cumsum(discount)[np.minimum(targets, k) - 1]
    return (hits[:, :k] * discount[: hits.shape[1]]).sum(axis=1) / ideal


def average_precision(hits: np.ndarray, targets: np.ndarray, k: int) -> np.ndarray:
    """Σ over the hits in the first k places of precision@(their rank), over all targets; its mean over users is MAP@k.

    A user with more targets than k cannot reach 1 (as trec_eval's `map_cut`, and RecTools' `MAP` by default).

    Source: Manning, Raghavan and Schütze, Introduction to information retrieval, 2008, section 8.4.

    >>> average_precision(np.array([[True, False, True]]), np.array([2]), 3).round(4)
    array([0.8333])
    """
    first = hits[:, :k]
    precisions = np.cumsum(first, axis=1) / np.arange(1, first.shape[1] + 1)
    return (precisions * first).sum(axis=1) / targets


PER_USER: dict[str, Callable[[np.ndarray, np.ndarray, int], np.ndarray]] = {
    Metrics.NDCG: ndcg,
    Metrics.HIT_RATE: hit_rate,
    Metrics.RECALL: recall,
    Metrics.PRECISION: precision,
    Metrics.F1: f1,
    Metrics.MRR: mrr,
    Metrics.MAP: average_precision,
}

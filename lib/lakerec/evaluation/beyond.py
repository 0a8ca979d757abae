"""What lists are beside right: how new, how varied, how far from what is popular, how well spread over the catalogue.

    lists [n, depth] ─┬─ a number a user: novelty, diversity, serendipity, popularity    float64 [n], NaN where undefined
                      └─ how often each item is shown ─► coverage, gini                  of all lists together

Letters: n = users, depth = length of the lists, k = cut-off, d = dimensions. Lists are dense items in rank order, int
[n, depth], -1 where a list is shorter. A user costs O(k · d): no pairs of items are formed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from lakerec.columns import Metrics
from lakerec.evaluation.intervals import percentile_interval, resampled_sums
from lakerec.evaluation.tallies import Tally


@dataclass(frozen=True)
class Catalogue:
    """What is known of the items before the lists are made."""

    popularity: np.ndarray
    """Users who met each item, int64 [num_items]."""
    users: int
    """Who met any."""
    vectors: np.ndarray | sparse.csr_matrix | None = None
    """float [num_items, d], unit rows, zero where an item has none; None: diversity is undefined."""

    def __len__(self) -> int:
        return len(self.popularity)

    @cached_property
    def surprise(self) -> np.ndarray:
        """Bits of information in meeting each item, float64 [num_items]."""
        return np.log2(max(1, self.users) / np.maximum(1, self.popularity))

    @cached_property
    def expected(self) -> np.ndarray:
        """Chance that popularity alone gives each item in `serendipity`, float64 [num_items]."""
        rank = np.unique(-self.popularity, return_inverse=True)[1] + 1
        return np.where(self.popularity > 0, (len(self) + 1 - rank) / len(self), 0.0)

    @cached_property
    def described(self) -> np.ndarray:
        """Whether each item has a vector, bool [num_items]."""
        if self.vectors is None:
            return np.zeros(len(self), dtype=bool)
        return np.asarray(abs(self.vectors).sum(axis=1)).ravel() > 0


def beyond_figures(lists: np.ndarray, hits: np.ndarray, catalogue: Catalogue, k: int) -> dict[str, np.ndarray]:
    """Those that are a number a user, by the name of the metric.

    Args:
        hits: bool [n, depth], whether each place holds a target.
    """
    return {
        Metrics.NOVELTY: novelty(lists, catalogue, k),
        Metrics.DIVERSITY: diversity(lists, catalogue, k),
        Metrics.SERENDIPITY: serendipity(lists, hits, catalogue, k),
        Metrics.POPULARITY: popularity(lists, catalogue, k),
    }


def novelty(lists: np.ndarray, catalogue: Catalogue, k: int) -> np.ndarray:
    """Mean over the first k places of −log2(users who met the item / all users); an item that nobody met counts as met once.

    Source: Zhou, Kuscsik, Liu, Medo, Wakeling and Zhang, Solving the apparent diversity-accuracy dilemma of recommender
    systems, PNAS 107, 2010 (surprisal, or self-information).

    >>> novelty(np.array([[0, 1], [1, -1]]), Catalogue(np.array([8, 2]), 8), 2)
    array([1., 2.])
    """
    return _mean_of_shown(lists[:, :k], catalogue.surprise)


def popularity(lists: np.ndarray, catalogue: Catalogue, k: int) -> np.ndarray:
    """Mean number of users who met the items of the first k places (average recommendation popularity).

    Source: Yin, Cui, Li, Yao and Chen, Challenging the long tail recommendation, PVLDB 5, 2012.

    >>> popularity(np.array([[0, 1], [1, -1]]), Catalogue(np.array([8, 2]), 8), 2)
    array([5., 2.])
    """
    return _mean_of_shown(lists[:, :k], catalogue.popularity)


def serendipity(lists: np.ndarray, hits: np.ndarray, catalogue: Catalogue, k: int) -> np.ndarray:
    """Mean over the first k places of max(0, p − p₀) where the place holds a target, 0 elsewhere.

    p = (num_items + 1 − rank) / num_items for the place in the list; p₀ is the same for the item's rank by popularity, which
    items that as many users met share, and 0 for one that nobody met.

    Source: Murakami, Mori and Orihara, Metrics for evaluating the serendipity of recommendation lists, JSAI 2007
    (unexpectedness, with popularity as the primitive prediction method), as RecTools defines both chances.

    >>> serendipity(np.array([[2, 0]]), np.array([[True, True]]), Catalogue(np.array([5, 3, 2, 0]), 6), 2)
    array([0.25])
    """
    first = lists[:, :k]
    chance = (len(catalogue) - np.arange(first.shape[1])) / len(catalogue)
    gained = np.maximum(0.0, chance - catalogue.expected[first]) * hits[:, :k]
    return _mean(gained, first >= 0)


def diversity(lists: np.ndarray, catalogue: Catalogue, k: int) -> np.ndarray:
    """Mean of 1 − cosine over the pairs of items in the first k places; NaN below two items that have a vector.

    Of m unit vectors with the sum s, the pairs' cosines sum to (s · s − m) / 2.

    Source: Ziegler, McNee, Konstan and Lausen, Improving recommendation lists through topic diversification, WWW 2005
    (intra-list similarity); as a mean distance: Castells, Hurley and Vargas, Recommender systems handbook, 2015, chapter 26.

    >>> catalogue = Catalogue(np.ones(3), 1, np.array([[1, 0], [1, 0], [0, 1]]))
    >>> diversity(np.array([[0, 1, 2], [0, 1, -1]]), catalogue, 3).round(4)
    array([0.6667, 0.    ])
    """
    first, vectors = lists[:, :k], catalogue.vectors
    if vectors is None:
        return np.full(len(first), np.nan)
    used = (first >= 0) & catalogue.described[first]
    counts = used.sum(axis=1)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    ones = np.ones(offsets[-1], dtype=vectors.dtype)
    sums = sparse.csr_matrix((ones, first[used], offsets), shape=(len(first), len(catalogue))) @ vectors
    squares = sums.multiply(sums).sum(axis=1) if sparse.issparse(sums) else np.einsum("nd,nd->n", sums, sums)
    pairs = counts * (counts - 1)
    cosines = np.divide(np.asarray(squares).ravel() - counts, pairs, out=np.full(len(first), np.nan), where=pairs > 0)
    return 1 - cosines


def shown_counts(lists: np.ndarray, num_items: int, k: int) -> np.ndarray:
    """How many lists show each item in their first k places, int64 [num_items]; counts of blocks of users add up.

    >>> shown_counts(np.array([[0, 1], [1, -1]]), 4, 2)
    array([1, 2, 0, 0])
    """
    first = lists[:, :k]
    return np.bincount(first[first >= 0], minlength=num_items)


def coverage(shown: np.ndarray) -> float:
    """Share of the catalogue that stands in anybody's first k places.

    Source: Ge, Delgado-Battenfeld and Jannach, Beyond accuracy: evaluating recommender systems by coverage and serendipity,
    RecSys 2010 (catalogue coverage).

    >>> coverage(np.array([1, 2, 0, 0]))
    0.5
    """
    return float((shown > 0).mean())


def gini(shown: np.ndarray) -> float:
    """Gini's coefficient of how often each item of the catalogue is shown: 0 where all are alike, near 1 where one is alone.

    Source: Fleder and Hosanagar, Blockbuster culture's next rise or fall, Management Science 55, 2009; see `Tally.gini`.

    >>> round(gini(np.array([1, 2, 0, 0])), 4)
    0.5833
    """
    return Tally(*np.unique(shown, return_counts=True)).gini()


def popularity_lift(listed: np.ndarray, met: np.ndarray, resamples: int, seed: int) -> tuple[float, float, float]:
    """How much more popular the lists are than what their users met: mean(listed) / mean(met) − 1, with a 95 % interval.

    Above 0 lists are drawn to what is popular. The interval is the percentile bootstrap's of the ratio, over users.

    Source: Abdollahpouri, Mansoury, Burke and Mobasher, The connection between popularity bias, calibration, and fairness in
    recommendation, RecSys 2020.

    Args:
        listed, met: mean popularity (see `popularity`) of each user's list and of the items they met, float [n], n ≥ 1.

    >>> popularity_lift(np.array([6.0, 6.0]), np.array([4.0, 4.0]), 100, 1)
    (0.5, 0.5, 0.5)
    """
    sums = resampled_sums(np.column_stack([listed, met]), resamples, seed)
    low, high = percentile_interval(sums[:, :1] / sums[:, 1:] - 1)
    return float(listed.mean() / met.mean() - 1), float(low[0]), float(high[0])


def _mean_of_shown(first: np.ndarray, values: np.ndarray) -> np.ndarray:
    return _mean(values[first], first >= 0)


def _mean(values: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Mean of the used ones of each row, NaN without any."""
    counts = used.sum(axis=1)
    sums = np.where(used, values, 0.0).sum(axis=1)
    return np.divide(sums, counts, out=np.full(len(values), np.nan), where=counts > 0)

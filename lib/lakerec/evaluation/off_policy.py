"""Off-policy estimates: what a policy that never ran would have earned, from a log of what another one showed.

    rewards, propensities of the logging policy ─┐
    what the target policy would have shown ─────┴► weights ─► sums a user ─► IPS, SNIPS, DR ─► intervals over users

All estimates are the reward an item shown, a click-through rate where rewards are clicks. A target that picks one item a
request shows one; a list of k shows k, and an item's reward does not depend on its place or its neighbours: the
document-based model of Li et al., Offline evaluation of ranking policies with click models, KDD 2018, section 4.
Letters: n = impressions, m = users.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lakerec.columns import Metrics
from lakerec.evaluation.intervals import ratio_interval
from lakerec.evaluation.lists import MetricRow

OFF_POLICY = "off_policy"
"""Slice of the rows."""


@dataclass(frozen=True)
class Log:
    """Impressions of a logging policy, seen from a target policy."""

    rewards: np.ndarray
    """float [n], what each impression earned."""
    weights: np.ndarray
    """float [n], the target's probability of showing the item over that of the logging policy."""
    users: np.ndarray
    """int [n], to whom it was shown, 0 .. m - 1."""
    shown: np.ndarray
    """float [m], items that the target shows each user in all requests that were logged."""

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Of one value an impression those of each user, float64 [m]."""
        return np.bincount(self.users, values, len(self.shown))


@dataclass(frozen=True)
class Estimate:
    """A ratio of sums over users, so that its interval is one over users: impressions of one user are not independent."""

    over: np.ndarray
    under: np.ndarray

    @property
    def value(self) -> float:
        """NaN where the target shows nothing of the log."""
        under = self.under.sum()
        return float(self.over.sum() / under) if under else float("nan")

    def interval(self, resamples: int, seed: int) -> tuple[float, float]:
        """95 % bootstrap interval."""
        return ratio_interval(self.over, self.under, resamples, seed)


def clipped(weights: np.ndarray, most: float) -> tuple[np.ndarray, float]:
    """Weights of at most `most` (0: as they are), and the share of those above 0 that were larger: less variance, some bias.

    Source: Ionides, Truncated importance sampling, JCGS 2008.

    >>> clipped(np.array([0.0, 2.0, 8.0]), 4.0)
    (array([0., 2., 4.]), 0.5)
    """
    if not most or not weights.any():
        return weights, 0.0
    return np.minimum(weights, most), float((weights > most).sum() / (weights > 0).sum())


def effective_size(weights: np.ndarray) -> float:
    """Impressions of equal weight that would say as much: (sum of weights)^2 / sum of their squares; 0 without any.

    Source: Kish, Survey sampling, 1965, section 11.7.

    >>> effective_size(np.array([1.0, 1.0, 0.0])), effective_size(np.array([3.0, 1.0]))
    (2.0, 1.6)
    """
    squares = float((weights**2).sum())
    return float(weights.sum()) ** 2 / squares if squares else 0.0


def ips(log: Log) -> Estimate:
    """Inverse propensity score: weighted rewards over what the target shows. Unbiased where propensities are right.

    Source: Horvitz and Thompson, JASA 1952; Li et al., Unbiased offline evaluation of contextual-bandit-based news article
    recommendation algorithms, WSDM 2011.

    >>> two = Log(np.array([1.0, 0.0]), np.array([2.0, 4.0]), np.array([0, 1]), np.array([2.0, 2.0]))
    >>> ips(two).value
    0.5
    """
    return Estimate(log.sums(log.weights * log.rewards), log.shown)


def snips(log: Log) -> Estimate:
    """Self-normalised: weighted rewards over the sum of weights. A constant added to all rewards is added to the estimate.

    Source: Swaminathan and Joachims, The self-normalized estimator for counterfactual learning, NeurIPS 2015.

    >>> two = Log(np.array([1.0, 0.0]), np.array([2.0, 6.0]), np.array([0, 1]), np.array([2.0, 2.0]))
    >>> snips(two).value
    0.25
    """
    return Estimate(log.sums(log.weights * log.rewards), log.sums(log.weights))


def doubly_robust(log: Log, predicted: np.ndarray, expected: np.ndarray) -> Estimate:
    """What a model of rewards predicts for the target, corrected by its weighted errors on the log.

    Unbiased where the propensities or the predictions are right, of less variance where both nearly are.

    Source: Dudík, Langford and Li, Doubly robust policy evaluation and learning, ICML 2011.

    Args:
        predicted: float [n], the model's reward of each impression.
        expected: float [m], the model's rewards of all that the target shows each user.

    >>> two = Log(np.array([1.0, 0.0]), np.array([2.0, 0.0]), np.array([0, 1]), np.array([1.0, 1.0]))
    >>> doubly_robust(two, np.array([0.75, 0.5]), np.array([0.75, 0.5])).value
    0.875
    """
    return Estimate(expected + log.sums(log.weights * (log.rewards - predicted)), log.shown)


def off_policy_rows(
    model: str, k: int, log: Log, predicted: np.ndarray, expected: np.ndarray, resamples: int, seed: int
) -> list[MetricRow]:
    """All three, with 95 % bootstrap intervals over users; none where the target shows nothing of the log."""
    if not log.weights.any():
        return []
    found = {Metrics.IPS: ips(log), Metrics.SNIPS: snips(log), Metrics.DR: doubly_robust(log, predicted, expected)}
    return [
        MetricRow(model, OFF_POLICY, metric, k, estimate.value, *estimate.interval(resamples, seed), len(log.shown))
        for metric, estimate in found.items()
    ]

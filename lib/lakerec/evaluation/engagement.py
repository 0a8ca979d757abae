"""How well single events are foretold: which items a user engages with, and what value they give. Letters: n = users.

Figures are made a user first, so that intervals over users are those of the ranking metrics.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from lakerec.columns import Metrics
from lakerec.evaluation.drift import quantile_groups
from lakerec.evaluation.intervals import bootstrap_interval, percentile_interval, resampled_sums
from lakerec.evaluation.lists import ALL, MetricRow, mean_rows

NO_LIST = 0
"""`k` of a figure that no list has part in."""
BINS = 10
"""Of calibration."""


def auc(logits: np.ndarray, wanted: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """For each user the chance that an item they engage with has a higher logit than one they do not; a tie is half of one.

    Source: Hanley and McNeil, The meaning and use of the area under a receiver operating characteristic (ROC) curve,
    Radiology 143, 1982.

    Args:
        logits: float [total]; user i's are logits[offsets[i]:offsets[i + 1]].
        wanted: bool [total], whether the user engages with the item.

    Returns:
        float64 [n]; NaN for a user who has not items of both kinds.

    >>> auc(np.array([3.0, 1.0, 2.0, 1.0]), np.array([True, True, False, False]), np.array([0, 4]))
    array([0.625])
    """
    users = _users(offsets)
    order = np.lexsort((logits, users))
    rises = np.append(True, (np.diff(logits[order]) > 0) | (np.diff(users[order]) > 0))
    firsts = np.append(np.flatnonzero(rises), len(order))
    middles = (firsts[:-1] + firsts[1:] - 1) / 2  # of equal logits
    ranks = np.empty(len(order))
    ranks[order] = np.repeat(middles, np.diff(firsts)) - offsets[:-1][users[order]]
    own, others = (np.bincount(users[kind], minlength=len(offsets) - 1) for kind in (wanted, ~wanted))
    above = np.bincount(users[wanted], ranks[wanted], len(offsets) - 1) - own * (own - 1) / 2
    return np.divide(above, own * others, out=np.full(len(own), np.nan), where=own * others > 0)


def accuracy(logits: np.ndarray, wanted: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """For each user the share of right answers, a logit above 0 being a yes, either kind counting for a half; as `auc`.

    Source: Brodersen et al., The balanced accuracy and its posterior distribution, ICPR 2010.

    >>> accuracy(np.array([3.0, -1.0, -2.0, -1.0]), np.array([True, True, False, False]), np.array([0, 4]))
    array([0.75])
    """
    return _mean_of_kinds((logits > 0) == wanted, wanted, offsets)


def log_loss(logits: np.ndarray, wanted: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """For each user −ln of the probability given to what is so, either kind counting for a half; as `auc`.

    It is the loss that the behaviour model learns by: 0.693 is a coin's, less is better. Source: Good, Rational decisions,
    Journal of the Royal Statistical Society B 14, 1952.

    >>> log_loss(np.array([0.0, 0.0]), np.array([True, False]), np.array([0, 2])).round(4)
    array([0.6931])
    """
    return _mean_of_kinds(np.logaddexp(0, np.where(wanted, -logits, logits)), wanted, offsets)


def calibration(
    logits: np.ndarray, wanted: np.ndarray, offsets: np.ndarray, resamples: int, seed: int
) -> tuple[float, float, float]:
    """Expected calibration error with a 95 % interval: Σ over bins of their share · |mean probability − share that is so|.

    `BINS` bins of equal weight by probability, equal ones in one bin; of each user either kind weighs a half. The interval
    is the bootstrap's over users, with these bins; since errors have no sign, chance alone gives more than 0.

    Sources: Naeini, Cooper and Hauskrecht, Obtaining well calibrated probabilities using Bayesian binning, AAAI 2015; bins
    of equal mass: Nguyen and O'Connor, Posterior calibration and exploratory analysis for natural language processing
    models, EMNLP 2015.

    Args:
        logits, wanted, offsets: as `auc`, each user with items of both kinds.

    >>> calibration(np.array([0.0, 0.0]), np.array([True, False]), np.array([0, 2]), 100, 1)
    (0.0, 0.0, 0.0)
    """
    users, count = _users(offsets), len(offsets) - 1
    kinds = users * 2 + wanted
    weights = 0.5 / np.bincount(kinds, minlength=2 * count)[kinds]
    levels, place = np.unique(logits, return_inverse=True)
    bins = quantile_groups(np.bincount(place, weights, len(levels)), BINS)[place]
    errors = weights * (expit(logits) - wanted)
    whole = np.bincount(users * BINS + bins, errors, count * BINS).reshape(count, BINS)
    low, high = percentile_interval(np.abs(resampled_sums(whole, resamples, seed)).sum(axis=1, keepdims=True) / count)
    return float(np.abs(whole.sum(axis=0)).sum() / count), float(low[0]), float(high[0])


def engagement_rows(
    model: str, logits: np.ndarray, wanted: np.ndarray, offsets: np.ndarray, resamples: int, seed: int
) -> list[MetricRow]:
    """AUC, accuracy, log loss and calibration over the users who have items of both kinds, with 95 % bootstrap intervals."""
    area = auc(logits, wanted, offsets)
    both = np.isfinite(area)
    if not both.any():
        return []
    kept, lengths = both[_users(offsets)], np.diff(offsets)[both]
    asked = (logits[kept].astype(np.float64), wanted[kept], np.concatenate([[0], np.cumsum(lengths)]))
    each = {Metrics.AUC: area[both], Metrics.ACCURACY: accuracy(*asked), Metrics.LOG_LOSS: log_loss(*asked)}
    rows = mean_rows(model, ALL, {(metric, NO_LIST): values for metric, values in each.items()}, resamples, seed)
    error = calibration(*asked, resamples, seed)
    return [*rows, MetricRow(model, ALL, Metrics.CALIBRATION, NO_LIST, *error, len(lengths))]


def mae(foretold: np.ndarray, given: np.ndarray, users: np.ndarray) -> np.ndarray:
    """Mean absolute error of each user's values: Σ |foretold − given| / values, float64 [n].

    Source: Herlocker et al., Evaluating collaborative filtering recommender systems, TOIS 2004.

    Args:
        foretold, given: float [total].
        users: int [total], from 0: to whom each belongs.

    >>> mae(np.array([4.0, 3.0, 5.0]), np.array([5.0, 3.0, 3.0]), np.array([0, 0, 1]))
    array([0.5, 2. ])
    """
    return _mean_by(users, np.abs(foretold - given).astype(np.float64), int(users.max()) + 1)


def mse(foretold: np.ndarray, given: np.ndarray, users: np.ndarray) -> np.ndarray:
    """Mean squared error of each user's values: Σ (foretold − given)² / values, float64 [n]; RMSE is the root of its mean.

    Source and arguments: as `mae`.

    >>> float(mse(np.array([4.0, 3.0, 5.0]), np.array([5.0, 3.0, 3.0]), np.array([0, 0, 1])).mean() ** 0.5)
    1.5
    """
    return _mean_by(users, (foretold - given).astype(np.float64) ** 2, int(users.max()) + 1)


def value_rows(
    model: str, foretold: np.ndarray, given: np.ndarray, users: np.ndarray, resamples: int, seed: int
) -> list[MetricRow]:
    """Mean of `mae` over users, and the root of that of `mse`; no values, no rows.

    Args:
        foretold, given: float [total].
        users: int [total], to whom each belongs.
    """
    if not len(given):
        return []
    _, users = np.unique(users, return_inverse=True)
    rows, count = [], int(users.max()) + 1
    for metric, each, root in (
        (Metrics.MAE, mae(foretold, given, users), 1.0), (Metrics.RMSE, mse(foretold, given, users), 0.5)
    ):  # fmt: skip
        mean, low, high = (float(end) ** root for end in (each.mean(), *bootstrap_interval(each, resamples, seed)))
        rows.append(MetricRow(model, ALL, metric, NO_LIST, mean, low, high, count))
    return rows


def _users(offsets: np.ndarray) -> np.ndarray:
    """To whom each item belongs, int [total]."""
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))


def _mean_of_kinds(values: np.ndarray, wanted: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Mean of the means of both kinds of each user, float64 [n]."""
    users = _users(offsets)
    halves = [_mean_by(users[kind], values[kind].astype(np.float64), len(offsets) - 1) for kind in (wanted, ~wanted)]
    return (halves[0] + halves[1]) / 2


def _mean_by(users: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    """Mean of the values of each user, float64 [count]; NaN for one who has none."""
    sums, numbers = np.bincount(users, values, count), np.bincount(users, minlength=count)
    return np.divide(sums, numbers, out=np.full(count, np.nan), where=numbers > 0)

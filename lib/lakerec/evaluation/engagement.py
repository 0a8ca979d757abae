"""How well single events are foretold: which items a user engages with, and what value they give. Letters: n = users.

Figures are made a user first, so that intervals over users are those of the ranking metrics.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lakerec.columns import Metrics
from lakerec.evaluation.intervals import bootstrap_interval
from lakerec.evaluation.lists import ALL, MetricRow

NO_LIST = 0
"""`k` of a figure that no list has part in."""


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
    found = np.full(len(offsets) - 1, np.nan)
    for user in range(len(found)):
        part = slice(offsets[user], offsets[user + 1])
        own, others = logits[part][wanted[part]][:, None], logits[part][~wanted[part]]
        if len(own) and len(others):
            found[user] = ((own > others) + 0.5 * (own == others)).mean()
    return found


def accuracy(logits: np.ndarray, wanted: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """For each user the share of right answers, a logit above 0 being a yes, either kind counting for a half; as `auc`.

    >>> accuracy(np.array([3.0, -1.0, -2.0, -1.0]), np.array([True, True, False, False]), np.array([0, 4]))
    array([0.75])
    """
    users = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    right = (logits > 0) == wanted
    halves = [_mean_by(users[kind], right[kind].astype(float), len(offsets) - 1) for kind in (wanted, ~wanted)]
    return (halves[0] + halves[1]) / 2


def engagement_rows(
    model: str, logits: np.ndarray, wanted: np.ndarray, offsets: np.ndarray, resamples: int, seed: int
) -> list[MetricRow]:
    """AUC and accuracy, means over the users who have items of both kinds, with 95 % bootstrap intervals."""
    figures: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
        Metrics.AUC: auc, Metrics.ACCURACY: accuracy,
    }  # fmt: skip
    rows = []
    for metric, function in figures.items():
        each = function(logits, wanted, offsets)
        each = each[np.isfinite(each)]
        if not len(each):
            continue
        low, high = bootstrap_interval(each, resamples, seed)
        rows.append(MetricRow(model, ALL, metric, NO_LIST, float(each.mean()), low, high, len(each)))
    return rows


def value_rows(
    model: str, foretold: np.ndarray, given: np.ndarray, users: np.ndarray, resamples: int, seed: int
) -> list[MetricRow]:
    """Mean absolute and root mean squared error of values: a user's mean first, then that over users. None: no rows.

    Args:
        foretold, given: float [total].
        users: int [total], to whom each belongs.
    """
    if not len(given):
        return []
    _, users = np.unique(users, return_inverse=True)
    count, rows = int(users.max()) + 1, []
    for metric, power, root in ((Metrics.MAE, 1, 1.0), (Metrics.RMSE, 2, 0.5)):
        each = _mean_by(users, np.abs(foretold - given).astype(np.float64) ** power, count)
        mean, low, high = (float(end) ** root for end in (each.mean(), *bootstrap_interval(each, resamples, seed)))
        rows.append(MetricRow(model, ALL, metric, NO_LIST, mean, low, high, count))
    return rows


def _mean_by(users: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    """Mean of the values of each user, float64 [count]; NaN for one who has none."""
    sums, numbers = np.bincount(users, values, count), np.bincount(users, minlength=count)
    return np.divide(sums, numbers, out=np.full(count, np.nan), where=numbers > 0)

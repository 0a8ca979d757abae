"""Whether two judgements put models in the same order."""

from __future__ import annotations

import numpy as np
from scipy import stats


def kendall(first: np.ndarray, second: np.ndarray) -> float | None:
    """Kendall's tau-b: pairs of models in the same order less those in the other, by all pairs, ties taken out; -1 to 1.

    Source: Kendall, The treatment of ties in ranking problems, Biometrika 1945.

    Args:
        first, second: a figure of each model, float [models].

    Returns:
        None where either ties all models, or there is one only: they are in no order.

    >>> kendall(np.array([0.1, 0.2, 0.3]), np.array([0.2, 0.4, 0.3]))
    0.33333333333333337
    """
    if min(len(np.unique(first)), len(np.unique(second))) < 2:
        return None
    return float(stats.kendalltau(first, second).statistic)

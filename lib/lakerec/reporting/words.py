"""Figures and names in words, the same everywhere on the page."""

from __future__ import annotations

from lakerec.columns import Metrics

SLICES = {
    "cold_items": "Targets with at most five earlier events",
    "sparse_users": "Users with at most ten earlier events",
}
PARTS = {
    "new_users": "new users", "returning_users": "returning users", "cold_users": "users without history",
    "head": "items of the head", "torso": "of the torso", "tail": "of the tail",
}  # fmt: skip
"""Slices that share one table; those above have one each."""
TABLES = {"all": "as it was fitted, fp32", "fp16": "items in fp16, half the bytes", "int8": "items in int8, a quarter"}
"""Precisions of the sequence model's item table, by slice of eval/metrics."""
MEANINGS = {
    Metrics.NDCG: "how near the top stands what a user took next: 1 at the very top, less the lower, 0 outside the list",
    Metrics.HIT_RATE: "the hit rate, the share of users whose list has at least one item that they took next",
    Metrics.RECALL: "share of what a user took next that is in the list; with one item to find it equals the hit rate",
    Metrics.PRECISION: "share of the list that the user took next; with one item to find it is at most 1 / its length",
    Metrics.F1: "harmonic mean of recall and precision",
    Metrics.MRR: "one over the place of the first item that the user took next: 0.5 for the second, 0 outside the list",
    Metrics.MAP: "precision at the place of each item that the user took next, over all that they took",
    Metrics.COVERAGE: "share of the catalogue that is in anybody's list",
    Metrics.NOVELTY: "how rare the items are: 1 for each time that half as many users met them",
    Metrics.DIVERSITY: "how unlike the items of a list are, by what their texts say: 0 the same, 1 nothing in common",
    Metrics.SERENDIPITY: "what was taken next and popularity would not have placed so high",
    Metrics.GINI: "how unequally items are shown over all lists: 0 each as often, near 1 a few only",
    Metrics.POPULARITY_LIFT: "how much more popular lists are than what their users met: 0.5 is half as much again",
}
"""Figures of lists in words."""
SINGLE = {
    Metrics.AUC: "AUC: an item that was taken is above one drawn at random",
    Metrics.ACCURACY: "accuracy: yes or no is right, taken and drawn counting alike",
    Metrics.LOG_LOSS: "log loss, taken and drawn counting alike: a coin has 0.693, less is better",
    Metrics.CALIBRATION: "calibration: how far probabilities lie from shares, 0 at best",
    Metrics.MAE: "mean absolute error of the value given", Metrics.RMSE: "root mean squared error of it",
}  # fmt: skip
"""Figures of single events in words."""
DISTILLED = "distilled into a smaller network"
BOT_WORDS = {
    "rate": "events a minute", "breadth": "different items a day", "regularity": "regular pauses",
    "user_agent": "user agent",
}  # fmt: skip
"""What a reason of silver/events.bot_reasons looks at."""
UNITS = {
    "clean": ("events", "events"), "featurize": ("events", "interactions"), "adapt": ("texts", "models"),
    "embed": ("texts", "item vectors"), "profile": ("interactions", "portraits"), "train": ("interactions", "models"),
    "evaluate": ("users", "ranked items"), "promote": ("model", "promoted"), "recommend": ("users", "recommendations"),
}  # fmt: skip
"""What a stage counts, in and out; rows where not named."""


FEW_USERS = 100
"""Test users below which a figure of theirs says little."""


def number(value: int) -> str:
    """With commas.

    >>> number(1234567)
    '1,234,567'
    """
    return f"{value:,}"


def share(value: float | None) -> str:
    """In per cent, with as many digits as a small one needs to differ from none; a dash where there is no whole.

    >>> [share(value).replace("\N{NO-BREAK SPACE}", " ") for value in (None, 0, 0.00001, 0.0027, 0.25, 1)]
    ['–', '0 %', '< 0.01 %', '0.27 %', '25.0 %', '100 %']
    """
    if value is None:
        return "–"
    if 0 < value < 0.0001:
        return "<\N{NO-BREAK SPACE}0.01\N{NO-BREAK SPACE}%"
    digits = 0 if value in (0, 1) else 2 if value < 0.01 else 1
    return f"{100 * value:.{digits}f}\N{NO-BREAK SPACE}%"


def small(value: float) -> str:
    """Three digits.

    >>> small(0.0004), small(0.0471)
    ('< 0.001', '0.047')
    """
    return "< 0.001" if value < 0.0005 else f"{value:.3f}"


def minutes(whole: int) -> str:
    """A time of so many whole minutes and maybe a part of one more.

    >>> minutes(0), minutes(12)
    ('a minute', '13 minutes')
    """
    return "a minute" if whole == 0 else f"{whole + 1:,} minutes"

"""The behaviour model's own figures: what test users engage with, told from what they do not, and what values they give."""

from __future__ import annotations

import numpy as np

from lakerec.evaluation.engagement import engagement_rows, value_rows
from lakerec.evaluation.lists import MetricRow
from lakerec.models.behaviour import Behaviour
from lakerec.models.data import Histories, Holdout
from lakerec.stages.base import Context, Inputs
from lakerec.stages.values import Values

OTHERS = 100
"""Items drawn a user, of those neither met nor engaged with; fewer where the draw hits some of these."""
MOST_USERS = 50_000
"""Of more, so many are drawn: memory stays near half a gigabyte, and an interval is narrow with fewer already."""


def figures(
    context: Context, inputs: Inputs, model: Behaviour, users: np.ndarray, holdout: Holdout, num_items: int
) -> list[MetricRow]:
    """How well targets are told from items drawn at random; errors of the targets' values, where they have any.

    Args:
        users: external ids of the holdout's users.
    """
    config = context.config
    rest = (config.evaluate.bootstrap, config.seed)
    if len(users) > MOST_USERS:
        drawn = np.sort(np.random.default_rng(config.seed).choice(len(users), MOST_USERS, replace=False))
        users, holdout = users[drawn], holdout.take(drawn)
    asked, wanted = with_others(holdout, num_items, config.seed)
    rated = Values.read(context, inputs, config.train.behaviour.rated) if config.train.behaviour.rated else None
    known = None if rated is None else rated.of_events(users, holdout.histories)
    logits, values = model.predict(holdout.histories, asked, known)
    rows = engagement_rows(model.name, logits, wanted, asked.offsets, *rest)
    if rated is None:
        return rows
    given = np.where(wanted, rated.of_items(users, asked), np.nan)
    has = np.isfinite(given)
    return rows + value_rows(model.name, values[has], given[has], asked.rows[has], *rest)


def with_others(holdout: Holdout, num_items: int, seed: int) -> tuple[Histories, np.ndarray]:
    """Each user's targets among items drawn for them, and which are the targets, bool [total].

    For a user who has met all else, the targets are left alone.
    """
    targets, users = holdout.targets, len(holdout.targets)
    drawn = np.random.default_rng(seed).integers(0, num_items, (users, OTHERS))
    rows = np.repeat(np.arange(users), OTHERS)
    others = np.unique(rows * num_items + drawn.ravel())
    taken = [part.rows * num_items + part.items for part in (holdout.histories, targets)]
    others = np.setdiff1d(others, np.concatenate(taken))
    every = np.concatenate([taken[1], others])
    order = np.argsort(every, kind="stable")
    offsets = np.searchsorted(every[order], np.arange(users + 1) * num_items)
    items = (every[order] % num_items).astype(np.int32)
    return Histories(offsets, items, np.zeros(len(items), dtype=np.int64)), order < len(taken[1])

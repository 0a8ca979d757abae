"""The values that are ratings, by event of a history: gold/interactions knows an event's place, silver/events its value.

Rows of both meet by user, item, type and time. Only where the behaviour model is asked for, since it reads each event once
more; `train.behaviour.rated` names the types of events whose value is a rating.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pyspark.sql import functions as F

from lakerec.clean.events import NATURAL_KEY
from lakerec.columns import Columns as C
from lakerec.columns import Models, Tables
from lakerec.config import Config
from lakerec.models.data import Histories
from lakerec.stages.base import Context, Inputs


def rated_tables(config: Config, models: Sequence[str] | None = None) -> tuple[str, ...]:
    """What is read for the values; nothing where no model (of train.models, where none are given) wants them."""
    wanted = Models.BEHAVIOUR in (config.train.models if models is None else models) and config.train.behaviour.rated
    return (Tables.INTERACTIONS, Tables.EVENTS) if wanted else ()


@dataclass(frozen=True)
class Values:
    """Rated events, by user and then by place in their history."""

    numbers: dict[str, int]
    """Dense index of each external user id."""
    users: np.ndarray
    """int64 [n], dense."""
    positions: np.ndarray
    """int64 [n], place in the history, from 0."""
    items: np.ndarray
    """int64 [n], dense."""
    values: np.ndarray
    """float32 [n]."""

    @classmethod
    def read(cls, context: Context, inputs: Inputs, rated: Sequence[str]) -> Values | None:
        """All of them; None where no event has one."""
        lake, key = context.lake, list(NATURAL_KEY)
        events = lake.read(Tables.EVENTS, inputs.get(Tables.EVENTS)).where(F.col(C.EVENT_TYPE).isin(*rated))
        given = events.groupBy(*key).agg(F.avg(C.VALUE).alias(C.VALUE)).where(F.col(C.VALUE).isNotNull())
        rows = lake.read(Tables.INTERACTIONS, inputs.get(Tables.INTERACTIONS)).join(given, on=key, how="inner")
        table = rows.select(C.USER, C.POSITION, C.ITEM, F.col(C.VALUE).cast("float")).orderBy(C.USER, C.POSITION).toArrow()
        if not len(table):
            return None
        index = lake.read(Tables.USER_INDEX).toArrow()
        numbers = dict(zip(index[C.USER_ID].to_pylist(), index[C.USER].to_pylist(), strict=True))
        users, positions, items = (table[name].to_numpy().astype(np.int64) for name in (C.USER, C.POSITION, C.ITEM))
        return cls(numbers, users, positions, items, table[C.VALUE].to_numpy().astype(np.float32))

    def of_events(self, ids: np.ndarray, histories: Histories) -> np.ndarray:
        """By event of histories that begin with their user's first event; float32 [total], NaN where it has none.

        Args:
            ids: external ids of the histories' users, object [n].
        """
        places = np.arange(len(histories.items)) - histories.offsets[:-1][histories.rows]
        return self._found(self.positions, self._users(ids, histories), places)

    def of_items(self, ids: np.ndarray, targets: Histories) -> np.ndarray:
        """The first value that each user gave an item; float32 [total], NaN where there is none."""
        return self._found(self.items, self._users(ids, targets), targets.items.astype(np.int64))

    def _users(self, ids: np.ndarray, histories: Histories) -> np.ndarray:
        return np.array([self.numbers[name] for name in ids], dtype=np.int64)[histories.rows]

    def _found(self, known: np.ndarray, users: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """Values by (user, position) or (user, item); of several the first."""
        span = max(int(known.max(initial=0)), int(wanted.max(initial=0))) + 1
        keys, first = np.unique(self.users * span + known, return_index=True)
        asked = users * span + wanted
        place = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
        return np.where(keys[place] == asked, self.values[first[place]], np.nan).astype(np.float32)

"""Readable recommendations: titles and reasons of a few users."""

from __future__ import annotations

from typing import Any

from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Tables
from lakerec.stages.base import Context, Inputs

USERS = 3
LAST = 5
"""Titles of the history that are shown."""


def examples(context: Context, inputs: Inputs, users: int = USERS) -> list[dict[str, Any]]:
    """For the first users by index who have a list: user (id), number (in the index), history (newest titles) and items
    (rank, title, reason)."""
    lake = context.lake
    lists = lake.read(Tables.RECOMMENDATIONS, inputs.get(Tables.RECOMMENDATIONS))
    index = lake.read(Tables.USER_INDEX)
    chosen = lists.select(C.USER_ID).distinct().join(index, on=C.USER_ID, how="inner").orderBy(C.USER).limit(users)
    items = lake.read(Tables.ITEMS).select(C.ITEM_ID, C.TITLE)
    rows = lists.join(F.broadcast(chosen), on=C.USER_ID, how="inner").join(items, on=C.ITEM_ID, how="left")
    shown = rows.orderBy(C.USER, C.RANK).select(C.USER, C.USER_ID, C.RANK, C.TITLE, C.REASON, C.ITEM_ID).collect()
    met = _histories(context, [row[C.USER_ID] for row in chosen.collect()])
    return [
        {
            "user": user,
            "number": number,
            "history": met.get(user, []),
            "items": [
                {"rank": row[C.RANK], "title": row[C.TITLE] or row[C.ITEM_ID], "reason": row[C.REASON]}
                for row in shown
                if row[C.USER_ID] == user
            ],
        }
        for user, number in dict.fromkeys((row[C.USER_ID], row[C.USER]) for row in shown)
    ]


def _histories(context: Context, users: list[str]) -> dict[str, list[str]]:
    """The newest titles of each user's history, newest first, each once."""
    lake = context.lake
    events = lake.read(Tables.INTERACTIONS).where(F.col(C.USER_ID).isin(users))
    titled = events.join(lake.read(Tables.ITEMS).select(C.ITEM_ID, C.TITLE), on=C.ITEM_ID, how="left")
    rows = titled.orderBy(F.col(C.POSITION).desc()).select(C.USER_ID, C.TITLE, C.ITEM_ID).collect()
    found: dict[str, list[str]] = {user: [] for user in users}
    for row in rows:
        shown, title = found[row[C.USER_ID]], row[C.TITLE] or row[C.ITEM_ID]
        if len(shown) < LAST and title not in shown:
            shown.append(title)
    return found

"""gold/interactions → gold/sequences: a row for each user and split, with what came before it.

A row is an example of its own: `items` are the split's events, `past` everything earlier. A history up to and including
a split is therefore `past` + `items` of the user's last row that is not later, and `next_split` tells which row that is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Splits

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def sequences(interactions: DataFrame) -> DataFrame:
    """Rows of gold/sequences; one shuffle by user."""
    number = F.array_position(F.array(*[F.lit(name) for name in Splits.ALL]), F.col(C.SPLIT)) - 1
    event = F.struct(C.POSITION, number.alias("number"), C.ITEM, F.unix_timestamp(C.EVENT_TIME).alias("seconds"))
    grouped = interactions.groupBy(C.USER_ID, C.USER).agg(F.sort_array(F.collect_list(event)).alias("events"))
    rows = F.array(*[_row(place) for place in range(len(Splits.ALL))])
    exploded = grouped.select(C.USER_ID, C.USER, F.inline(F.filter(rows, lambda row: F.size(row[C.ITEMS]) > 0)))
    return exploded.select(C.USER_ID, C.USER, C.ITEMS, C.TIMES, C.SPLIT, C.PAST, C.PAST_TIMES, C.NEXT_SPLIT)


def _row(place: int) -> Column:
    """The struct of one split: its events, all earlier ones, and the next split that has any."""
    own = F.filter("events", lambda event: event["number"] == place)
    past = F.filter("events", lambda event: event["number"] < place)
    later = F.array_min(F.transform(F.filter("events", lambda event: event["number"] > place), lambda e: e["number"]))
    names = F.array(*[F.lit(name) for name in Splits.ALL])
    return F.struct(
        _items(own).alias(C.ITEMS),
        _seconds(own).alias(C.TIMES),
        F.lit(Splits.ALL[place]).alias(C.SPLIT),
        _items(past).alias(C.PAST),
        _seconds(past).alias(C.PAST_TIMES),
        F.get(names, later).alias(C.NEXT_SPLIT),
    )


def _items(events: Column) -> Column:
    return F.transform(events, lambda event: event[C.ITEM])


def _seconds(events: Column) -> Column:
    return F.transform(events, lambda event: event["seconds"])

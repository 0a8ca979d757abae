"""For the report's data page: silver/events counted. Every pass gives counts of counts, never a row a user or item."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Tables
from lakerec.evaluation.tallies import Tally
from lakerec.reporting.data_page import Distributions
from lakerec.stages.base import Context, Inputs
from lakerec.stages.counting import KEY, NO_TYPE, ROWS, by_value, counts_by, sizes, utc, value_bin

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def distributions(context: Context, inputs: Inputs) -> Distributions:
    """All events that cleaning kept, those of bots included."""
    lake = context.lake
    events = lake.read(Tables.EVENTS, inputs.get(Tables.EVENTS))
    counted = counts_by(
        events,
        {
            "all": F.lit(0), "types": F.coalesce(C.EVENT_TYPE, F.lit(NO_TYPE)), "days": F.to_date(C.EVENT_TIME),
            "hours": F.weekday(C.EVENT_TIME) * 24 + F.hour(C.EVENT_TIME), "values": value_bin(),
        },
        known=F.count(C.USER_ID), first=F.unix_micros(F.min(C.EVENT_TIME)), last=F.unix_micros(F.max(C.EVENT_TIME)),
    )  # fmt: skip
    whole = counted["all"][0]
    hours = np.zeros(7 * 24, dtype=np.int64)
    for row in counted["hours"]:
        hours[row[KEY]] = row[ROWS]
    known = events.where(F.col(C.USER_ID).isNotNull())
    items, untitled = _items(lake.read(Tables.ITEMS, inputs.get(Tables.ITEMS)), events)
    sessions, minutes = _sessions(known)
    return Distributions(
        events=whole[ROWS],
        strangers=whole[ROWS] - whole["known"],
        first=utc(whole["first"]),
        last=utc(whole["last"]),
        types={row[KEY]: row[ROWS] for row in sorted(counted["types"], key=lambda row: -row[ROWS])},
        days={row[KEY]: row[ROWS] for row in counted["days"]},
        hours=hours.reshape(7, 24),
        values={value: rows for value, (rows,) in by_value(counted["values"], ROWS).items()},
        users=sizes(known, C.USER_ID),
        items=items,
        sessions=sessions,
        minutes=minutes,
        untitled=untitled,
        pairs=known.select(C.USER_ID, C.ITEM_ID).distinct().count(),
    )


def _items(catalogue: DataFrame, events: DataFrame) -> tuple[Tally, int]:
    """Items of the catalogue by their events, and how many of them have no title but their id."""
    met = events.groupBy(C.ITEM_ID).agg(F.count("*").alias(C.N))
    joined = catalogue.select(C.ITEM_ID, C.TITLE).join(met, on=C.ITEM_ID, how="left")
    untitled = F.trim(F.coalesce(C.TITLE, F.lit(""))).isin("", F.col(C.ITEM_ID))
    by_size = joined.groupBy(F.coalesce(C.N, F.lit(0)).alias(C.N)).agg(F.count("*"), F.count_if(untitled))
    rows = by_size.collect()
    return Tally.of((row[0], row[1]) for row in rows), sum(row[2] for row in rows)


def _sessions(known: DataFrame) -> tuple[Tally, Tally]:
    """Sessions by their events, and by the whole minutes that they lasted."""
    micros = F.unix_micros(F.max(C.EVENT_TIME)) - F.unix_micros(F.min(C.EVENT_TIME))
    of_users = known.where(F.col(C.SESSION_ID).isNotNull()).groupBy(C.USER_ID, C.SESSION_ID)
    sessions = of_users.agg(F.count("*").alias(C.EVENTS), F.floor(micros / 60_000_000).alias("minutes"))
    counted = counts_by(sessions, {"events": F.col(C.EVENTS), "minutes": F.col("minutes")})
    events, minutes = (Tally.of((row[KEY], row[ROWS]) for row in counted[name]) for name in ("events", "minutes"))
    return events, minutes

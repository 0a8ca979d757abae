"""Where an event stands in its session, and gold/session_stats: one row a session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.features.interactions import file_order

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def session_stats(events: DataFrame, gap_minutes: int) -> DataFrame:
    """Rows of gold/session_stats. A session is over, and known, when the gap has passed without an event."""
    known = events.where(F.col(C.SESSION_ID).isNotNull())
    rows = known.groupBy(C.USER_ID, C.SESSION_ID).agg(
        F.min(C.EVENT_TIME).alias(C.STARTED_AT),
        F.max(C.EVENT_TIME).alias(C.ENDED_AT),
        F.count("*").alias(C.EVENTS),
        F.countDistinct(C.ITEM_ID).alias(C.ITEMS),
    )
    over = F.unix_micros(C.ENDED_AT) + gap_minutes * 60_000_000 + 1
    return rows.withColumn(C.KNOWABLE_AT, F.timestamp_micros(over))


def with_session_context(events: DataFrame) -> DataFrame:
    """Add the place in the session (from 0), seconds since it began, and the item before; null outside of sessions.

    Events of equal time stand in the order of the file, so the item before may be one of the same second, never a later
    one.
    """
    in_session = Window.partitionBy(C.USER_ID, C.SESSION_ID).orderBy(*file_order())
    so_far = in_session.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    began = F.unix_micros(F.min(C.EVENT_TIME).over(so_far))
    known = events.where(F.col(C.SESSION_ID).isNotNull()).select(
        "*",
        (F.row_number().over(in_session) - 1).cast("int").alias(C.SESSION_POSITION),
        ((F.unix_micros(C.EVENT_TIME) - began) / 1_000_000).alias(C.SESSION_SECONDS),
        F.lag(C.ITEM_ID).over(in_session).alias(C.PREVIOUS_ITEM),
    )
    return known.unionByName(events.where(F.col(C.SESSION_ID).isNull()), allowMissingColumns=True)

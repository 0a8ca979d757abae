"""bronze/events → silver/events: one row an event, sessions by gap, bots marked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from lakerec.columns import Columns as C

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

NATURAL_KEY = (C.USER_ID, C.ITEM_ID, C.EVENT_TYPE, C.EVENT_TIME)


def deduplicate(events: DataFrame) -> DataFrame:
    """One row for each user, item, type and time: the largest value, then the first by file and place.

    A log without users has no such key: two strangers may do the same at the same second. Those rows are kept.
    """
    winner = (F.col(C.VALUE).desc_nulls_last(), C.SOURCE_FILE, C.SOURCE_ROW, C.EVENT_ID)
    stranger = F.when(F.col(C.USER_ID).isNull(), F.col(C.EVENT_ID))
    place = F.row_number().over(Window.partitionBy(*NATURAL_KEY, stranger).orderBy(*winner))
    return events.withColumn("_place", place).where(F.col("_place") == 1).drop("_place")


def add_sessions(events: DataFrame, gap_minutes: int) -> DataFrame:
    """Add session_id: a user's events belong together until a pause longer than the gap. Null without a user."""
    by_user = Window.partitionBy(C.USER_ID).orderBy(C.EVENT_TIME, C.SOURCE_FILE, C.SOURCE_ROW, C.EVENT_ID)
    seconds = F.unix_micros(C.EVENT_TIME)
    pause = seconds - F.lag(seconds).over(by_user)
    begins = F.coalesce((pause > gap_minutes * 60_000_000).cast("int"), F.lit(1))
    known = events.where(F.col(C.USER_ID).isNotNull()).withColumn("_begins", begins)
    so_far = by_user.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    start = F.max(F.when(F.col("_begins") == 1, F.col(C.EVENT_TIME))).over(so_far)
    session = F.sha2(F.concat_ws("\x1f", F.col(C.USER_ID), F.unix_micros(start)), 256).substr(1, 16)
    known = known.withColumn(C.SESSION_ID, session).drop("_begins")
    strangers = events.where(F.col(C.USER_ID).isNull()).withColumn(C.SESSION_ID, F.lit(None).cast("string"))
    return known.unionByName(strangers)


def mark_bots(events: DataFrame, events_per_minute: int) -> DataFrame:
    """Add is_bot: the user had, in some minute, more events than the declared threshold (0: nobody is marked)."""
    if events_per_minute == 0:
        return events.withColumn(C.IS_BOT, F.lit(False))
    known = events.where(F.col(C.USER_ID).isNotNull())
    per_minute = known.groupBy(C.USER_ID, F.date_trunc("minute", C.EVENT_TIME)).count()
    fast = per_minute.where(F.col("count") > events_per_minute).select(C.USER_ID).distinct()
    marked = events.join(fast.withColumn(C.IS_BOT, F.lit(True)), on=C.USER_ID, how="left")
    return marked.withColumn(C.IS_BOT, F.coalesce(F.col(C.IS_BOT), F.lit(False)))


def clean_events(bronze: DataFrame, gap_minutes: int, bot_events_per_minute: int) -> DataFrame:
    """Rows of silver/events."""
    return mark_bots(add_sessions(deduplicate(bronze), gap_minutes), bot_events_per_minute)

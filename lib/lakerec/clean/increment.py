"""What new events change in silver/events, from as few of the old rows as can be.

    new events → disturbed: each user with the moment from which on anything may change
               → segments: old rows from there on + new rows → clean_events → compared with the old rows

A user's past before a segment cannot change: it begins with a session and with a day, which is what sessions and bots
look at; and it reaches back to the first event that a cancellation may take from, or that has the id of a new one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from lakerec.clean.bots import AGENT, BY_AGENT, bots, says_so
from lakerec.clean.events import clean_events, with_price
from lakerec.columns import Columns as C
from lakerec.config import CleanConfig
from lakerec.lake.difference import difference

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

FROM = "_from"
BEGINNING = "0001-01-01"


def changes(silver: DataFrame, new: DataFrame, config: CleanConfig, names: list[str]) -> DataFrame:
    """Rows of silver/events to be inserted, updated or deleted for new rows of bronze/events, as of `difference`.

    Args:
        names: columns of silver/events.
    """
    new = with_price(new)
    if config.bots.looks:
        agent = says_so(config.bots) if config.bots.agent else F.lit(False)
        new = new.withColumn(BY_AGENT, agent)
        silver = silver.withColumn(BY_AGENT, F.coalesce(F.array_contains(C.BOT_REASONS, AGENT), F.lit(False)))
    starts = disturbed(silver, new, config).localCheckpoint()
    old = segments(silver, new, starts).localCheckpoint()
    if config.bots.looks:
        caught = bots(_together(old, new), config.bots).select(C.USER_ID, _beginning().alias("_caught"))
        later = (
            starts.join(caught, on=C.USER_ID).where(F.col(FROM) > F.col("_caught")).select(C.USER_ID, FROM).localCheckpoint()
        )
        if not later.isEmpty():
            before = silver.join(F.broadcast(later), on=C.USER_ID).where(F.col(C.EVENT_TIME) < F.col(FROM)).drop(FROM)
            old = old.unionByName(before).localCheckpoint()
    return difference(old, clean_events(_together(old, new), config), [C.EVENT_ID], names)


def needs_all(silver: DataFrame, new: DataFrame, before: DataFrame, config: CleanConfig) -> bool:
    """Whether what new rows change cannot be told from some of the old ones.

    So it is where a natural key has no time, and twins may lie anywhere; and where rows correct others (the same id with
    other contents) while a natural key, cancellations or user agents decide: what a corrected row beat, took or told comes
    back.

    Args:
        before: rows of bronze/events that silver was made of.
    """
    key = config.natural_key
    if key is not None and C.EVENT_TIME not in key:
        return True
    if key is None and not (config.cancels or config.bots.agent):
        return False
    return not _twins(silver if key is None else before, new).isEmpty()


def disturbed(silver: DataFrame, new: DataFrame, config: CleanConfig) -> DataFrame:
    """user_id and the moment (`_from`) from which on the user's rows may change; one that is a bot has to be judged anew."""
    touched = _places(silver, new, config).groupBy(C.USER_ID).agg(F.date_trunc("day", F.min(C.EVENT_TIME)).alias("_day"))
    gap = F.expr(f"INTERVAL {config.session_gap_minutes} MINUTES")
    session = silver.join(F.broadcast(touched), on=C.USER_ID).groupBy(C.USER_ID, C.SESSION_ID, "_day")
    ends = session.agg(F.min(C.EVENT_TIME).alias("_start"), F.max(C.EVENT_TIME).alias("_end"), F.max(C.IS_BOT).alias("_bot"))
    reaching = F.when(F.col("_end") >= F.col("_day") - gap, F.col("_start"))
    found = ends.groupBy(C.USER_ID).agg(F.min(F.when(F.col("_bot"), _beginning()).otherwise(reaching)).alias("_reach"))
    return touched.join(found, on=C.USER_ID, how="left").select(C.USER_ID, F.least("_day", "_reach").alias(FROM))


def _places(silver: DataFrame, new: DataFrame, config: CleanConfig) -> DataFrame:
    """user_id, event_time of all rows that are new, or that a new one may take from or replace."""
    wanted = [C.USER_ID, C.EVENT_TIME]
    places = new.select(*wanted).unionByName(_twins(silver, new).select(*wanted))
    if config.cancels:
        pairs = new.select(C.USER_ID, C.ITEM_ID).distinct()
        places = places.unionByName(silver.join(pairs, on=[C.USER_ID, C.ITEM_ID], how="left_semi").select(*wanted))
    return places.where(F.col(C.USER_ID).isNotNull())


def _twins(silver: DataFrame, new: DataFrame) -> DataFrame:
    """Old rows with the id of a new one; only ids that the source gives can have any."""
    given = new.where(F.col(C.DIGEST).isNotNull()).select(C.EVENT_ID)
    return silver.where(F.col(C.DIGEST).isNotNull()).join(given, on=C.EVENT_ID, how="left_semi")


def segments(silver: DataFrame, new: DataFrame, starts: DataFrame) -> DataFrame:
    """Old rows of disturbed users from their moment on, and those without a user that a new row may replace."""
    least = starts.agg(F.coalesce(F.min(F.unix_micros(FROM)), F.lit(0))).first()[0]  # type: ignore[index]
    # A moment that is the same for all users tells which files to leave unread.
    recent = silver.where(F.col(C.EVENT_TIME) >= F.timestamp_micros(F.lit(least)))
    known = recent.join(F.broadcast(starts), on=C.USER_ID).where(F.col(C.EVENT_TIME) >= F.col(FROM)).drop(FROM)
    return known.unionByName(_twins(silver, new).where(F.col(C.USER_ID).isNull()))


def _together(old: DataFrame, new: DataFrame) -> DataFrame:
    names = [name for name in new.columns if name in old.columns]
    return old.select(*names).unionByName(new.select(*names))


def _beginning() -> Column:
    return F.lit(BEGINNING).cast("timestamp")

"""bronze/events → silver/events: one row an event, sessions by gap, cancellations netted, bots marked.

One shuffle by user and one sort serve all of it. Rows without a user, a quarter of some logs, take no part in it: they are
strangers to each other, in no session, and nobody else's twin.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from lakerec.clean.bots import mark_bots
from lakerec.clean.cancellations import net, net_of_strangers
from lakerec.columns import Columns as C
from lakerec.config import CleanConfig

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

NATURAL_KEY = (C.USER_ID, C.EVENT_TIME, C.ITEM_ID, C.EVENT_TYPE)
PAUSE = "_pause"
WINNER = (C.VALUE, C.SOURCE_FILE, C.SOURCE_ROW, C.EVENT_ID)
"""Of rows that are one event: the largest value, then the first by file and place."""


def clean_events(events: DataFrame, config: CleanConfig) -> DataFrame:
    """Rows of silver/events.

    Args:
        events: columns of bronze/events; or rows of silver/events and new ones of bronze/events together, where these are
            all that is known of their users from the start of a session on.
    """
    unique = one_row_an_id(with_price(events))
    known, strangers = (unique.where(condition) for condition in (F.col(C.USER_ID).isNotNull(), F.col(C.USER_ID).isNull()))
    in_sessions = add_sessions(deduplicate(known, config.natural_key), config.session_gap_minutes)
    alone = strangers.withColumn(C.SESSION_ID, F.lit(None).cast("string"))
    kept = net(in_sessions, config.cancels).unionByName(net_of_strangers(alone, config.cancels))
    return mark_bots(kept, config.bots)


def with_price(events: DataFrame) -> DataFrame:
    """Add the price that an event's context says, null where that is no finite number; rows that have one keep it."""
    if C.PRICE in events.columns:
        return events
    said = F.col(C.CONTEXT)[C.PRICE].try_cast("double")
    return events.withColumn(C.PRICE, F.when(F.abs(said) < float("inf"), said))


def one_row_an_id(events: DataFrame) -> DataFrame:
    """Of rows with the same event id the winner; ids that a source gives may come with different contents.

    A row whose digest is its id (null there) has no such twin. So the many rows are not moved: ids that come twice are
    found by their hash, and only their rows are compared.
    """
    given = events.where(F.col(C.DIGEST).isNotNull())
    hashed = F.xxhash64(C.EVENT_ID)
    twice = given.groupBy(hashed.alias("_hash")).count().where(F.col("count") > 1).select("_hash")
    suspects = given.withColumn("_hash", hashed).join(twice, on="_hash", how="left_semi").drop("_hash")
    place = F.row_number().over(Window.partitionBy(C.EVENT_ID).orderBy(*_best_first()))
    losers = suspects.withColumn("_place", place).where(F.col("_place") > 1).select(C.EVENT_ID, C.DIGEST)
    return events.join(losers, on=[C.EVENT_ID, C.DIGEST], how="left_anti")


def deduplicate(known: DataFrame, key: Sequence[str] | None) -> DataFrame:
    """One row for each natural key, the winner, with `_pause` (microseconds) since the user's row before.

    Args:
        known: rows with a user.
        key: columns of an event; None: user, item, type and time, where the source gives no event ids.
    """
    names = NATURAL_KEY if key is None else tuple(key)
    twin: list[Column | str] = [name for name in names if name not in (C.USER_ID, C.EVENT_TIME)]
    if key is None:
        twin.append(F.when(F.col(C.DIGEST).isNotNull(), F.col(C.EVENT_ID)))
    micros = F.unix_micros(C.EVENT_TIME)
    if C.EVENT_TIME in names:  # twins lie beside each other in order of time
        in_order = Window.partitionBy(C.USER_ID).orderBy(C.EVENT_TIME, *twin, *_best_first())
        same = F.struct(C.EVENT_TIME, *twin)
        marked = known.withColumns({PAUSE: micros - F.lag(micros).over(in_order), "_before": F.lag(same).over(in_order)})
        return marked.where(~F.col("_before").eqNullSafe(same)).drop("_before")
    if names:
        place = F.row_number().over(Window.partitionBy(C.USER_ID, *twin).orderBy(*_best_first()))
        known = known.withColumn("_place", place).where(F.col("_place") == 1).drop("_place")
    return known.withColumn(PAUSE, micros - F.lag(micros).over(Window.partitionBy(C.USER_ID).orderBy(C.EVENT_TIME)))


def _best_first() -> list[Column]:
    value, *rest = WINNER
    return [F.col(value).desc_nulls_last(), *map(F.col, rest)]


def add_sessions(paused: DataFrame, gap_minutes: int) -> DataFrame:
    """Add session_id: a user's events belong together until a pause longer than the gap.

    Args:
        paused: as of `deduplicate`.
    """
    pause = F.col(PAUSE)
    begins = F.when(pause.isNull() | (pause > gap_minutes * 60_000_000), F.unix_micros(C.EVENT_TIME))
    until_now = Window.partitionBy(C.USER_ID).orderBy(C.EVENT_TIME).rowsBetween(Window.unboundedPreceding, Window.currentRow)
    started = paused.withColumn("_start", F.max(begins).over(until_now))
    session = F.lpad(F.hex(F.xxhash64(C.USER_ID, "_start")), 16, "0")
    return started.withColumn(C.SESSION_ID, session).drop(PAUSE, "_start")

"""bronze/events → silver/events: one row an event, sessions by gap, cancellations netted, bots marked.

One shuffle by owner and one sort serve all of it: who has the same owner lies together in order of time. A row without a
user is its own owner, so that strangers, a quarter of some logs, neither count as one person nor meet in one task.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from lakerec.clean.bots import mark_bots
from lakerec.clean.cancellations import net
from lakerec.clean.owners import OWNER, with_owner
from lakerec.columns import Columns as C
from lakerec.config import CleanConfig

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

NATURAL_KEY = (C.USER_ID, C.EVENT_TIME, C.ITEM_ID, C.EVENT_TYPE)
WINNER = (C.VALUE, C.SOURCE_FILE, C.SOURCE_ROW, C.EVENT_ID)
"""Of rows that are one event: the largest value, then the first by file and place."""


def clean_events(events: DataFrame, config: CleanConfig) -> DataFrame:
    """Rows of silver/events.

    Args:
        events: columns of bronze/events; or rows of silver/events and new ones of bronze/events together, where these are
            all that is known of their users from the start of a session on.
    """
    owned = with_owner(one_row_an_id(events))
    kept = net(add_sessions(deduplicate(owned, config.natural_key), config.session_gap_minutes), config.cancels)
    return mark_bots(kept, config.bots).drop(OWNER)


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


def deduplicate(owned: DataFrame, key: Sequence[str] | None) -> DataFrame:
    """One row for each natural key, the winner. Rows without a user are strangers to each other, and all kept.

    Args:
        key: columns of an event; None: user, item, type and time, where the source gives no event ids.
    """
    names = NATURAL_KEY if key is None else tuple(key)
    if not names:
        return owned
    twin: list[Column | str] = [OWNER, *[name for name in names if name != C.USER_ID]]
    if key is None:
        twin.append(F.when(F.col(C.DIGEST).isNotNull(), F.col(C.EVENT_ID)))
    place = F.row_number().over(Window.partitionBy(*twin).orderBy(*_best_first()))
    return owned.withColumn("_place", place).where(F.col("_place") == 1).drop("_place")


def _best_first() -> list[Column]:
    value, *rest = WINNER
    return [F.col(value).desc_nulls_last(), *map(F.col, rest)]


def add_sessions(owned: DataFrame, gap_minutes: int) -> DataFrame:
    """Add session_id: a user's events belong together until a pause longer than the gap. Null without a user."""
    in_time = Window.partitionBy(OWNER).orderBy(C.EVENT_TIME)
    micros = F.unix_micros(C.EVENT_TIME)
    pause = micros - F.lag(micros).over(in_time)
    begins = F.when(pause.isNull() | (pause > gap_minutes * 60_000_000), micros)
    start = F.max("_begins").over(in_time.rowsBetween(Window.unboundedPreceding, Window.currentRow))
    session = F.when(F.col(C.USER_ID).isNotNull(), F.lpad(F.hex(F.xxhash64(C.USER_ID, "_start")), 16, "0"))
    started = owned.withColumn("_begins", begins).withColumn("_start", start)
    return started.withColumn(C.SESSION_ID, session).drop("_begins", "_start")

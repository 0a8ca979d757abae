"""Who behaves like a program: marked by declared thresholds, with the reasons, never deleted.

All thresholds look at one day of one user: what a user did on a day is what speaks against them, whatever else arrives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.config import BotConfig

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

RATE, BREADTH, REGULARITY, AGENT = "rate", "breadth", "regularity", "user_agent"
DAY, PAUSE, MINUTE, BY_AGENT = "_day", "_pause", "_minute", "_by_agent"


def mark_bots(events: DataFrame, config: BotConfig) -> DataFrame:
    """Add is_bot and bot_reasons (null where there are none)."""
    if not config.looks:
        return events.withColumns({C.IS_BOT: F.lit(False), C.BOT_REASONS: F.lit(None).cast("array<string>")})
    marked = events.drop(C.IS_BOT, C.BOT_REASONS).join(bots(events, config), on=C.USER_ID, how="left")
    return marked.withColumn(C.IS_BOT, F.col(C.BOT_REASONS).isNotNull())


def bots(events: DataFrame, config: BotConfig) -> DataFrame:
    """user_id, bot_reasons (sorted): users with a day beyond a threshold.

    Args:
        events: user_id, item_id, event_time, and where user agents are looked at context, or `_by_agent` in its place.
            Rows without a user are left out.
    """
    known = events.where(F.col(C.USER_ID).isNotNull())
    found = [check(known, config) for check in (_fast, _broad, _regular, _by_agent)]
    reasons = [frame for frame in found if frame is not None]
    every = reasons[0]
    for frame in reasons[1:]:
        every = every.unionByName(frame)
    return every.groupBy(C.USER_ID).agg(F.sort_array(F.collect_set("reason")).alias(C.BOT_REASONS))


def _fast(known: DataFrame, config: BotConfig) -> DataFrame | None:
    """More events in a minute of the clock than declared."""
    if not config.events_per_minute:
        return None
    per_minute = known.groupBy(C.USER_ID, F.date_trunc("minute", C.EVENT_TIME).alias(MINUTE)).count()
    return _because(per_minute, F.col("count") > config.events_per_minute, RATE)


def _broad(known: DataFrame, config: BotConfig) -> DataFrame | None:
    """More different items on a day than declared."""
    if not config.items_per_day:
        return None
    items = known.select(C.USER_ID, _day(), C.ITEM_ID).distinct().groupBy(C.USER_ID, DAY).count()
    return _because(items, F.col("count") > config.items_per_day, BREADTH)


def _regular(known: DataFrame, config: BotConfig) -> DataFrame | None:
    """Pauses between the events of a day whose deviation is a smaller share of their mean than declared."""
    if not config.least_variation:
        return None
    in_time = Window.partitionBy(C.USER_ID, DAY).orderBy(C.EVENT_TIME)
    seconds = F.unix_micros(C.EVENT_TIME) / 1_000_000
    paused = known.select(C.USER_ID, C.EVENT_TIME, _day()).withColumn(PAUSE, seconds - F.lag(seconds).over(in_time))
    day = paused.groupBy(C.USER_ID, DAY).agg(
        F.count(PAUSE).alias("pauses"), F.avg(PAUSE).alias("mean"), F.stddev_pop(PAUSE).alias("deviation")
    )
    many, steady = F.col("pauses") >= config.regular_pauses, F.col("deviation") < config.least_variation * F.col("mean")
    return _because(day, many & steady, REGULARITY)


def _by_agent(known: DataFrame, config: BotConfig) -> DataFrame | None:
    """A user agent that says so."""
    if config.agent is None:
        return None
    return _because(known, F.col(BY_AGENT) if BY_AGENT in known.columns else says_so(config), AGENT)


def says_so(config: BotConfig) -> Column:
    """Whether the event's user agent is a program's."""
    return F.coalesce(F.col(C.CONTEXT)[config.agent].rlike(config.agent_pattern), F.lit(False))


def _day() -> Column:
    return F.to_date(C.EVENT_TIME).alias(DAY)


def _because(rows: DataFrame, condition: Column, reason: str) -> DataFrame:
    return rows.where(condition).select(C.USER_ID, F.lit(reason).alias("reason"))

"""silver/events → gold/interactions: weighted, in order, with dense ids, divided into splits.

events with a user, weight > 0, not a bot, not cancelled → position in the user's history → split → dense ids
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pyspark.sql import Window, WindowSpec
from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Splits
from lakerec.features.weights import event_weight

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

ORDERED_BY = (C.EVENT_TIME, C.SOURCE_FILE, C.SOURCE_ROW, C.ITEM_ID, C.EVENT_TYPE)
"""Columns of `file_order`."""
FEWEST_EVENTS = 3
"""leave_last_out: a shorter history has nothing left to learn from, and stays whole in train."""
SCALES = (86_400_000_000, 60_000_000, 1)
"""Microseconds of a day, a minute, and one: how closely a quantile of time is looked for, step by step."""


def counted(events: DataFrame, weights: Mapping[str, float], cancels: Mapping[str, str]) -> DataFrame:
    """Events that count as interactions, with their weight.

    Args:
        weights: by event type; 1 where not named, 0 leaves the type out.
        cancels: event types that take back → those that they take from, of which nothing may be left.
    """
    known = events.where(F.col(C.USER_ID).isNotNull() & ~F.col(C.IS_BOT))
    if cancels:
        gone = F.col(C.EVENT_TYPE).isin(*cancels.values()) & (F.coalesce(C.NET_VALUE, F.lit(1.0)) <= 0)
        known = known.where(~F.col(C.EVENT_TYPE).isin(*cancels) & ~gone)
    return known.withColumn(C.WEIGHT, event_weight(weights)).where(F.col(C.WEIGHT) > 0)


def file_order() -> list[Column]:
    """Oldest first. Equal times are common: the order of the file decides, so that every run sees the same last event.

    Rows that share a place too (elements of one list, a file that came again with other rows) stand by chance, which is a
    hash of the item; events alike in item and type as well are alike in all that is made of them.
    """
    moment, file, row, item, event_type = map(F.col, ORDERED_BY)
    return [moment, file, row, F.xxhash64(item), item, event_type]


def _by_user() -> WindowSpec:
    """A user's history; the one order of all windows here, so that Spark sorts once."""
    return Window.partitionBy(C.USER_ID).orderBy(*file_order())


def positioned(interactions: DataFrame) -> DataFrame:
    """Add position (from 0, oldest first) in the user's history."""
    return interactions.withColumn(C.POSITION, (F.row_number().over(_by_user()) - 1).cast("int"))


def leave_last_out(interactions: DataFrame) -> DataFrame:
    """Add split: a user's last event is test, the one before valid; users with fewer than three events are all train."""
    after, after_that = (F.lead(C.POSITION, ahead).over(_by_user()) for ahead in (1, 2))
    marked = interactions.withColumns({"_after": after, "_after_that": after_that})
    to_come = F.when(F.col("_after").isNull(), 0).when(F.col("_after_that").isNull(), 1)
    short = F.col(C.POSITION) + 1 + to_come < FEWEST_EVENTS
    name = F.when(to_come.isNull() | short, Splits.TRAIN).when(to_come == 1, Splits.VALID).otherwise(Splits.TEST)
    return marked.withColumn(C.SPLIT, name).drop("_after", "_after_that")


def temporal(interactions: DataFrame, cuts: Sequence[int]) -> DataFrame:
    """Add split: valid and test begin at the cuts (epoch microseconds); an event at a cut belongs to the later split."""
    micros, (valid, test) = F.unix_micros(C.EVENT_TIME), cuts
    name = F.when(micros < valid, Splits.TRAIN).when(micros < test, Splits.VALID)
    return interactions.withColumn(C.SPLIT, name.otherwise(Splits.TEST))


def quantiles_of_time(events: DataFrame, shares: Sequence[float]) -> list[int]:
    """Exact quantiles of event_time (epoch microseconds): for each share the event that has it of the others before it.

    Counts days, then the minutes of the days in question, then their microseconds: three passes over one column, and never
    more values in memory than a minute has.
    """
    micros = F.unix_micros(C.EVENT_TIME)
    found, ranks = [0 for _ in shares], [0 for _ in shares]
    for number, scale in enumerate(SCALES):
        wider = SCALES[number - 1] if number else 0
        within = events.where(F.floor(micros / wider).isin(*{at // wider for at in found})) if wider else events
        rows = within.groupBy(F.floor(micros / scale)).count().collect()
        bins = sorted((int(row[0]) * scale, int(row[1])) for row in rows)
        if not wider:
            total = sum(count for _, count in bins)
            ranks = [math.ceil(share * (total - 1)) for share in shares]
        for place, rank in enumerate(ranks):
            own = [each for each in bins if not wider or each[0] // wider == found[place] // wider]
            found[place], ranks[place] = _at(own, rank)
    return found


def _at(bins: Sequence[tuple[int, int]], rank: int) -> tuple[int, int]:
    """The bin (start, count) that holds the rank, by its start, and the rank within it."""
    for start, count in bins:
        if rank < count:
            return start, rank
        rank -= count
    raise AssertionError("a rank lies within the counts")


def with_dense_ids(interactions: DataFrame, users: DataFrame, items: DataFrame) -> DataFrame:
    """Add user and item from the index tables."""
    return interactions.join(users, on=C.USER_ID, how="inner").join(F.broadcast(items), on=C.ITEM_ID, how="inner")

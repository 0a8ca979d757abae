"""Cancellations net against what they cancel: the latest of the user's earlier events of the item, as far as it goes.

Each takes from the top of a stack of what was bought before it. What is left of a purchase at the end is how far the
stack stayed above the level the purchase was put on; so running sums and minima tell it, without a loop:

    level  l(t) = x(t) - min(0, min x(s), s ≤ t)     x: running sum of purchases less cancellations
    left   of the purchase at t = min(q, max(0, min l(s), s ≥ t, less l before t))

A cancellation of what was never bought (x below 0) takes nothing from later purchases.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from lakerec.columns import Columns as C

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

KIND, SIGNED, LEFT = "_kind", "_signed", "_left"


def net(events: DataFrame, cancels: Mapping[str, str]) -> DataFrame:
    """Add net_value: what is left of the value after cancellations; 0 of a cancellation itself.

    An event without a value counts as 1.

    Args:
        events: with a user.
        cancels: event type that takes back → event type it takes back.
    """
    if not cancels:
        return events.withColumn(C.NET_VALUE, F.col(C.VALUE))
    kind = F.lit(None).cast("string")
    for cancellation, purchase in cancels.items():
        kind = F.when(F.col(C.EVENT_TYPE).isin(cancellation, purchase), F.lit(purchase)).otherwise(kind)
    is_cancellation = F.col(C.EVENT_TYPE).isin(*cancels)
    amount = F.abs(F.coalesce(C.VALUE, F.lit(1.0)))
    signed = events.withColumns({KIND: kind, SIGNED: F.when(is_cancellation, -amount).otherwise(amount)})
    untouched = F.col(KIND).isNull() | (F.col(LEFT) == F.col(SIGNED))
    value = F.when(is_cancellation, 0.0).when(untouched, F.col(C.VALUE)).otherwise(F.col(LEFT))
    return _with_left(signed).withColumn(C.NET_VALUE, value).drop(KIND, SIGNED, LEFT)


def net_of_strangers(events: DataFrame, cancels: Mapping[str, str]) -> DataFrame:
    """Add net_value to events without a user, whose partner is not known: their value, 0 of a cancellation."""
    value = F.col(C.VALUE)
    return events.withColumn(
        C.NET_VALUE, F.when(F.col(C.EVENT_TYPE).isin(*cancels), 0.0).otherwise(value) if cancels else value
    )


def _with_left(signed: DataFrame) -> DataFrame:
    by_item = Window.partitionBy(C.USER_ID, C.ITEM_ID, KIND).orderBy(C.EVENT_TIME, C.SOURCE_FILE, C.SOURCE_ROW, C.EVENT_ID)
    until_now = by_item.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    from_now = by_item.rowsBetween(Window.currentRow, Window.unboundedFollowing)
    summed = signed.withColumn("_sum", F.sum(SIGNED).over(until_now))
    level = F.col("_sum") - F.least(F.lit(0.0), F.min("_sum").over(until_now))
    levelled = summed.withColumn("_level", level)
    before = F.coalesce(F.lag("_level").over(by_item), F.lit(0.0))
    ranged = levelled.withColumns({"_before": before, "_lowest": F.min("_level").over(from_now)})
    left = F.least(F.col(SIGNED), F.greatest(F.lit(0.0), F.col("_lowest") - F.col("_before")))
    return ranged.withColumn(LEFT, left).drop("_sum", "_level", "_before", "_lowest")

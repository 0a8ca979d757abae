"""Windows of days over an entity's rows, one a day, and how many different ones it met within them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import Window, WindowSpec
from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Windows

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

CAME, WENT = "_came", "_went"


def in_days(key: str) -> WindowSpec:
    """An entity's rows by day."""
    return Window.partitionBy(key).orderBy(F.unix_date(C.DAY))


def last_days(key: str, days: int | None) -> WindowSpec:
    """The rows of the last days, today included; None: all so far."""
    begin = Window.unboundedPreceding if days is None else 1 - days
    return in_days(key).rangeBetween(begin, Window.currentRow)


def with_met(rows: DataFrame, events: DataFrame, key: str, other: str) -> DataFrame:
    """Add what `distinct` needs: for each window of n days, how many others come into it on the day, and how many leave it
    n days later.

    One that is met on a day comes in unless it was met in the n - 1 days before, and leaves unless it is met again in the
    n - 1 days after. So only the days to the last and the next meeting of a pair matter: one shuffle and one sort of
    (key, other, day), whatever the number of windows, and nothing is listed.

    Args:
        rows: key, day and more, one row for each day with an event.
        events: rows with both key and other.
    """
    pair = Window.partitionBy(key, other).orderBy(C.DAY)
    met = events.select(key, other, F.to_date(C.EVENT_TIME).alias(C.DAY))
    gaps = met.select(
        key,
        C.DAY,
        F.datediff(C.DAY, F.lag(C.DAY).over(pair)).alias("_since"),
        F.datediff(F.lead(C.DAY).over(pair), C.DAY).alias("_until"),
    )
    since, until = F.col("_since"), F.col("_until")
    counts = {CAME: F.count_if(since.isNull())}
    for window, days in Windows.RECENT.items():
        counts[f"{CAME}_{window}"] = F.count_if(since.isNull() | (since >= days))
        counts[f"{WENT}_{window}"] = F.count_if(until.isNull() | (until >= days))
    daily = gaps.groupBy(key, C.DAY).agg(*[count.alias(name) for name, count in counts.items()])
    return rows.join(daily, on=[key, C.DAY], how="left").fillna(0, list(counts))


def distinct(key: str, name: str) -> list[Column]:
    """Different others so far (`name`) and within each window (`name` and the window), of what `with_met` adds."""
    so_far = last_days(key, None)
    counts = [F.sum(CAME).over(so_far).alias(name)]
    for window, days in Windows.RECENT.items():
        came = F.sum(f"{CAME}_{window}").over(so_far)
        went = F.sum(f"{WENT}_{window}").over(in_days(key).rangeBetween(Window.unboundedPreceding, -days))
        counts.append((came - F.coalesce(went, F.lit(0))).alias(f"{name}_{window}"))
    return counts

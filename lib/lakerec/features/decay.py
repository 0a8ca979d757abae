"""Sums in which the past counts less: half after each half-life, in closed form a day."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from lakerec.columns import Columns as C

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

HALVINGS = 500
"""Half-lives in a chapter of time: 2^500 is a double, and what is left of a weight after as many is nothing."""


def decayed_sums(rows: DataFrame, keys: Sequence[str], amount: str, half_life: float, name: str) -> DataFrame:
    """Add `name`: the amounts (none below 0) up to and including a row's day, each times 2^(-age / half_life).

    An amount of day d is written as amount · 2^((d - start) / half_life), so that a running sum over the rows, times
    2^(-(today - start) / half_life), is the decayed sum. `start` is that of the day's chapter, which keeps the powers
    within a double; what the chapter before has left is carried over, and older ones have left nothing.

    Args:
        rows: keys, day (date) and amount; one row for each of keys and day.
        half_life: in days.
    """
    chapter_days = math.ceil(HALVINGS * half_life)
    number = F.unix_date(C.DAY)
    chapter = F.floor(number / chapter_days)
    power = F.pow(F.lit(2.0), (number - chapter * chapter_days) / half_life)
    marked = rows.withColumn("_chapter", chapter).withColumn("_power", power)
    within = Window.partitionBy(*keys, "_chapter").orderBy(C.DAY).rowsBetween(Window.unboundedPreceding, Window.currentRow)
    marked = marked.withColumn("_running", F.sum(F.col(amount) * F.col("_power")).over(within))
    chapter_before = Window.partitionBy(*keys).orderBy("_chapter").rangeBetween(-1, -1)
    carried = F.coalesce(F.max("_running").over(chapter_before), F.lit(0.0)) * 2.0 ** (-chapter_days / half_life)
    total = (F.col("_running") + carried) / F.col("_power")
    return marked.withColumn(name, total).drop("_chapter", "_power", "_running")


def decayed(amount: Column, since: Column, now: Column, half_life: float) -> Column:
    """What is left of a decayed sum of the day `since` on the day `now`, half_life in days."""
    return amount * F.pow(F.lit(2.0), -F.datediff(now, since) / half_life)

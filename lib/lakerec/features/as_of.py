"""Joins that see only what was known: to each event, the last row with `knowable_at` at or before its time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.errors import ContractError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

EVENT, KNOWN, MOMENT = "_event", "_known", "_moment"


def join_as_of(events: DataFrame, features: DataFrame, key: str, moment: str = C.EVENT_TIME) -> DataFrame:
    """Add the columns of `features` to each event, as they were known then; null before there were any.

    Events and features are laid in one line a key, and each event takes the last features before it: one shuffle, no
    more rows than there were. Events without a key skip the line: they would all meet in one task.

    Args:
        events: any rows with key and moment.
        features: key, knowable_at and more; one row for each key and knowable_at.

    Raises:
        ContractError: a column other than the key is in both.
    """
    values = [name for name in features.columns if name != key]
    if both := sorted(set(values) & set(events.columns)):
        raise ContractError(f"join as of: {', '.join(both)} would be in the result twice; rename it before")
    known_type, event_type = features.select(*values).schema, events.schema
    rows = events.where(F.col(key).isNotNull()).select(
        key, F.col(moment).alias(MOMENT), F.struct("*").alias(EVENT), F.lit(None).cast(known_type).alias(KNOWN)
    )
    moments = features.select(
        key, F.col(C.KNOWABLE_AT).alias(MOMENT), F.lit(None).cast(event_type).alias(EVENT), F.struct(*values).alias(KNOWN)
    )
    line = Window.partitionBy(key).orderBy(MOMENT, F.col(EVENT).isNotNull())
    so_far = line.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    found = rows.unionByName(moments).withColumn(KNOWN, F.last(KNOWN, ignorenulls=True).over(so_far))
    joined = found.where(F.col(EVENT).isNotNull()).select(f"{EVENT}.*", f"{KNOWN}.*")
    return joined.unionByName(events.where(F.col(key).isNull()), allowMissingColumns=True)


def only(rows: DataFrame, touched: DataFrame | None, key: str) -> DataFrame:
    """The rows of the touched entities; all where `touched` is None."""
    return rows if touched is None else rows.join(touched.select(key).distinct(), on=key, how="left_semi")


def next_midnight(day: Column) -> Column:
    """The first moment (UTC) after a day: from then on, all its events are known."""
    return F.date_add(day, 1).cast("timestamp")

"""Dense integer ids, append-only: an id that was given is never changed or reused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from lakerec.columns import Columns as C

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def extend_index(existing: DataFrame, ids: DataFrame, key: str, dense: str) -> DataFrame:
    """New rows (key, dense) for ids without one, numbered on from the highest, by first event time, then by id.

    Args:
        existing: key, dense.
        ids: key, event_time (null: never seen in an event), any number of rows a key.
    """
    first = ids.groupBy(key).agg(F.min(C.EVENT_TIME).alias("_first"))
    new = first.join(existing, on=key, how="left_anti")
    start = existing.agg(F.coalesce(F.max(dense) + 1, F.lit(0)).alias("_start"))
    place = F.row_number().over(Window.orderBy(F.col("_first").asc_nulls_last(), key)) - 1
    numbered = new.withColumn("_place", place).crossJoin(F.broadcast(start))
    return numbered.select(key, (F.col("_place") + F.col("_start")).cast("int").alias(dense))

"""Sorts a mapped batch into good rows, repeats and refused rows; every row gets exactly one of the three kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.ingest.mapping import REASONS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

KIND, GOOD, DUPLICATE, REFUSED = "_kind", "good", "duplicate", "refused"


def sort_rows(mapped: DataFrame, key: str, known: DataFrame | None = None) -> DataFrame:
    """Add `_kind`. Of rows with the same key the first by file and place is good; the others are duplicates.

    Args:
        key: the column that tells repeats apart (`event_id`, or the row's digest).
        known: keys of earlier batches, in a column of the same name; a row that has one is a duplicate.
    """
    refused = F.size(REASONS) > 0
    place = F.row_number().over(Window.partitionBy(refused, key).orderBy(C.SOURCE_FILE, C.SOURCE_ROW))
    seen = F.lit(False)
    if known is not None:
        mapped = mapped.join(known.select(key, F.lit(True).alias("_seen")).dropDuplicates([key]), on=key, how="left")
        seen = F.coalesce(F.col("_seen"), F.lit(False))
    kind = F.when(refused, REFUSED).when((place > 1) | seen, DUPLICATE).otherwise(GOOD)
    return mapped.withColumn(KIND, kind).drop("_seen")

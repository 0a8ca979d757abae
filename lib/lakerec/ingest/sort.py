"""Sorts a mapped batch into good rows, repeats and refused rows; every row gets exactly one of the three kinds.

refused row        repeat: an earlier batch refused the same row
event              repeat: its id came before, in the batch or in an earlier one
item or user row   repeat: it says nothing new, though what it says may be old and true again
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.ingest.mapping import REASONS

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

KIND, GOOD, DUPLICATE, REFUSED = "_kind", "good", "duplicate", "refused"
BEFORE, NEWEST, QUARANTINED = "_before", "_newest", "_quarantined"


def sort_rows(
    mapped: DataFrame, key: str, known: DataFrame | None = None, quarantined: DataFrame | None = None
) -> DataFrame:
    """Add `_kind`. Of rows with the same key the first by file and place is good; the others are duplicates.

    Args:
        known: rows of earlier batches, with the key; a row that has one of theirs is a duplicate.
        quarantined: rows that earlier batches refused, with their digests.
    """
    refused = F.size(REASONS) > 0
    place = F.row_number().over(Window.partitionBy(refused, key).orderBy(C.SOURCE_FILE, C.SOURCE_ROW))
    marked = _marked(_marked(mapped, known, key, BEFORE), quarantined, C.DIGEST, QUARANTINED)
    return _with_kind(marked, refused, (place > 1) | F.col(BEFORE)).drop(BEFORE)


def sort_descriptions(
    mapped: DataFrame, key: str, known: DataFrame | None = None, quarantined: DataFrame | None = None
) -> DataFrame:
    """Add `_kind` to rows that describe what `key` names and may change; the last one by file and place holds.

    The last row of a key is a duplicate where it equals the key's newest row and nothing of the key in the batch is new.
    An other row is one where it comes again later in the batch or came in an earlier one. So a file that arrives again
    adds nothing, and a description that returns to an earlier one wins.

    Args:
        known: rows of earlier batches: key, digest, source_file, source_row, ingested_at.
        quarantined: rows that earlier batches refused, with their digests.
    """
    refused = F.size(REASONS) > 0
    about = F.coalesce(key, C.DIGEST)  # rows without a key must not all meet in one task
    by_key, backwards = Window.partitionBy(refused, about), [F.desc(C.SOURCE_FILE), F.desc(C.SOURCE_ROW)]
    repeated = F.row_number().over(Window.partitionBy(refused, C.DIGEST).orderBy(*backwards)) > 1
    last = F.row_number().over(by_key.orderBy(*backwards)) == 1
    marked = _marked(_with_history(mapped, key, known), quarantined, C.DIGEST, QUARANTINED)
    before = F.coalesce(F.array_contains(BEFORE, F.col(C.DIGEST)), F.lit(False))
    marked = marked.withColumn("_last", last).withColumn("_new", ~F.col("_last") & ~repeated & ~before)
    settled = F.col(C.DIGEST).eqNullSafe(F.col(NEWEST)) & ~F.max("_new").over(by_key)
    return _with_kind(marked, refused, ~F.col("_new") & (~F.col("_last") | settled)).drop(BEFORE, NEWEST, "_last", "_new")


def _with_kind(marked: DataFrame, refused: Column, duplicate: Column) -> DataFrame:
    again = (refused & F.col(QUARANTINED)) | (~refused & duplicate)
    return marked.withColumn(KIND, F.when(again, DUPLICATE).when(refused, REFUSED).otherwise(GOOD)).drop(QUARANTINED)


def _marked(rows: DataFrame, known: DataFrame | None, key: str, mark: str) -> DataFrame:
    """Add whether the row's key is among those known; a null is not."""
    if known is None:
        return rows.withColumn(mark, F.lit(False))
    keys = known.select(key).distinct().withColumn(mark, F.lit(True))
    return rows.join(keys, on=key, how="left").withColumn(mark, F.coalesce(mark, F.lit(False)))


def _with_history(rows: DataFrame, key: str, known: DataFrame | None) -> DataFrame:
    """Add the digests of the key's earlier rows, and that of the newest, which is the one that cleaning takes."""
    if known is None:
        nothing = F.lit(None).cast("string")
        return rows.withColumn(BEFORE, F.array(nothing)).withColumn(NEWEST, nothing)
    newest = F.max_by(C.DIGEST, F.struct(C.INGESTED_AT, C.SOURCE_FILE, C.SOURCE_ROW))
    history = known.groupBy(key).agg(F.collect_set(C.DIGEST).alias(BEFORE), newest.alias(NEWEST))
    return rows.join(history, on=key, how="left")

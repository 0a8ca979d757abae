"""How the rows of a table differ from what they should be, and making them so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from lakerec.lake.lake import Lake

ACTION, INSERT, UPDATE, DELETE = "_action", "insert", "update", "delete"


def difference(old: DataFrame, now: DataFrame, keys: Sequence[str], names: Sequence[str]) -> DataFrame:
    """Rows to be inserted, updated or deleted (`_action`) to get from `old` to `now`.

    Args:
        keys: columns that name a row, none of them null.
        names: columns to be compared and returned, the keys among them; no maps.
    """
    before = old.select(*keys, F.struct(*names).alias("_before"))
    after = now.select(*keys, F.struct(*names).alias("_after"))
    joined = before.join(after, on=list(keys), how="full_outer")
    action = F.when(F.col("_before").isNull(), INSERT).when(F.col("_after").isNull(), DELETE).otherwise(UPDATE)
    row = F.coalesce("_after", "_before").alias("_row")
    changed = joined.where(~F.col("_before").eqNullSafe(F.col("_after")))
    return changed.select(action.alias(ACTION), row).select(ACTION, "_row.*")


def apply(lake: Lake, changes: DataFrame, table: str, application: str) -> dict[str, int]:
    """Bring a table from old to new in one commit; gives the number of rows by action.

    Args:
        changes: as of `difference`; worked out more than once, so it should be kept.
        application: names the write, so that it is done once.
    """
    found = {row[0]: int(row[1]) for row in changes.groupBy(ACTION).count().collect()}
    if set(found) - {INSERT}:
        lake.merge(changes, table, deleted=F.col(ACTION) == DELETE)
    elif found:
        lake.append(changes, table, application, 1)
    return found

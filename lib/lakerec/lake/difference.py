"""How the rows of a table differ from what they should be, and making them so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import MapType

from lakerec.columns import Columns as C

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from lakerec.lake.lake import Lake

ACTION, INSERT, UPDATE, DELETE = "_action", "insert", "update", "delete"
MOMENT = "_moment"
FEW, SMALL = 200_000, 64 << 20
"""Changed rows, and their bytes as text, that the driver and each task may hold in memory."""


def difference(old: DataFrame, now: DataFrame, keys: Sequence[str], names: Sequence[str]) -> DataFrame:
    """Rows to be inserted, updated or deleted (`_action`) to get from `old` to `now`; `_moment`: the old row's event_time.

    Args:
        keys: columns that name a row, none of them null.
        names: columns to be compared and returned, the keys among them.
    """
    maps = {field.name for field in old.schema if isinstance(field.dataType, MapType)}
    before = old.select(*keys, F.struct(*names).alias("_before"))
    after = now.select(*keys, F.struct(*names).alias("_after"))
    joined = before.join(after, on=list(keys), how="full_outer")
    was, is_ = (_comparable(F.col(row), names, maps) for row in ("_before", "_after"))
    action = F.when(F.col("_before").isNull(), INSERT).when(F.col("_after").isNull(), DELETE).otherwise(UPDATE)
    row = F.coalesce("_after", "_before").alias("_row")
    moment = F.unix_micros(F.col("_before")[C.EVENT_TIME]) if C.EVENT_TIME in names else F.lit(None).cast("long")
    changed = joined.where(~was.eqNullSafe(is_)).select(action.alias(ACTION), moment.alias(MOMENT), row)
    return changed.select(ACTION, MOMENT, "_row.*")


def _comparable(row: Column, names: Sequence[str], maps: set[str]) -> Column:
    """A row whose maps are lists in order of their keys: maps themselves cannot be compared. Null where there is none."""
    if not maps:
        return row
    values = [F.sort_array(F.map_entries(row[name])) if name in maps else row[name] for name in names]
    return F.when(row.isNotNull(), F.struct(*values))


def apply(lake: Lake, changes: DataFrame, table: str, application: str) -> dict[str, int]:
    """Bring a table from old to new; gives the number of rows by action.

    Rows that are there are changed in one commit, new ones are added in a second one: so the many rows of the table are
    looked up beside a few in memory, where one MERGE for both would shuffle them all.

    Args:
        changes: as of `difference`.
        application: names the write, so that it is done once.
    """
    changes = changes.localCheckpoint()  # a cached frame would be worked out anew when the table it reads is written
    is_new = F.col(ACTION) == INSERT
    size = F.sum(F.when(~is_new, F.length(F.to_json(F.struct("*")))))
    counts = F.count("*").alias("rows"), size.alias("bytes"), F.min(MOMENT).alias("first"), F.max(MOMENT).alias("last")
    counted = changes.groupBy(ACTION).agg(*counts).collect()
    found = {row[ACTION]: int(row["rows"]) for row in counted}
    there = [row for row in counted if row[ACTION] != INSERT]
    if there:
        old, ends = changes.where(~is_new), [at for row in there for at in (row["first"], row["last"]) if at is not None]
        within = (min(ends), max(ends)) if ends else None
        fits = sum(row["rows"] for row in there) <= FEW and sum(row["bytes"] for row in there) <= SMALL
        lake.change(F.broadcast(old) if fits else old, table, F.col(ACTION) == DELETE, within)
    if INSERT in found:
        lake.append(changes.where(is_new), table, application, 1)
    return found

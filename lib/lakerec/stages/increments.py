"""What a stage needs to look at new rows only: which these are, and writing what they change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pyspark import StorageLevel
from pyspark.sql import functions as F

from lakerec.features.as_of import only
from lakerec.lake import difference
from lakerec.lake.contracts import CONTRACTS
from lakerec.stages.base import Context, Inputs

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

CHANGE, INSERT = "_change_type", "insert"


def changed_since(context: Context, inputs: Inputs, table: str) -> DataFrame | None:
    """Rows that came to a table, left it or were changed (`_change_type`) since the stage's last run.

    Returns:
        None where the stage has to look at all rows: it has not run here with this config and code, its own tables were
        changed by something else, or the table's changes cannot be told.
    """
    since = context.base.inputs.get(table) if context.base is not None else None
    return None if since is None else context.lake.changes(table, since, inputs[table])


def added_since(context: Context, inputs: Inputs, table: str) -> DataFrame | None:
    """The same where rows were only added; None where some were changed or removed as well."""
    changed = changed_since(context, inputs, table)
    if changed is None or not changed.where(F.col(CHANGE) != INSERT).isEmpty():
        return None
    return changed.drop(CHANGE)


def unchanged(context: Context, inputs: Inputs, *tables: str) -> bool:
    """Whether the stage's last run may be built upon and read the same of these tables."""
    base = context.base
    return base is not None and all(base.inputs.get(table) == inputs.get(table) for table in tables)


@contextmanager
def kept(frame: DataFrame, keep: bool = True) -> Iterator[DataFrame]:
    """The frame, worked out once where it is worth keeping."""
    if keep:
        frame.persist(StorageLevel.MEMORY_AND_DISK)
    try:
        yield frame
    finally:
        frame.unpersist()


def update(context: Context, rows: DataFrame, table: str, key: str, touched: DataFrame | None) -> None:
    """Write the touched entities' rows that differ, those that are gone included; all rows where `touched` is None.

    Args:
        rows: of the touched entities.
        key: column that names an entity.
    """
    if touched is None:
        context.lake.overwrite(rows, table)
        return
    write_difference(context, only(context.lake.read(table), touched, key), rows, table)


def write_difference(context: Context, old: DataFrame, rows: DataFrame, table: str) -> None:
    """Make these old rows of a table what they should be."""
    contract = CONTRACTS[table]
    changes = difference.difference(old, rows, contract.keys, contract.names)
    difference.apply(context.lake, changes, table, context.application)


def replace(context: Context, rows: DataFrame, table: str) -> None:
    """Overwrite a table, unless it holds the very rows: then what follows need not run."""
    with kept(rows) as new:
        if not context.lake.exists(table) or _content(context.lake.read(table), new.columns) != _content(new, new.columns):
            context.lake.overwrite(new, table)


def _content(rows: DataFrame, columns: list[str]) -> tuple[int, int]:
    """Number of rows and sum of their hashes: equal content, equal numbers."""
    hashed = F.xxhash64(F.to_json(F.struct(*columns))).cast("decimal(38,0)")
    count, total = rows.agg(F.count("*"), F.coalesce(F.sum(hashed), F.lit(0))).first()  # type: ignore[misc]
    return int(count), int(total)

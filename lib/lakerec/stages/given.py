"""Tables of rows that a person labelled, beside the items or texts that they speak of: what labels and spans begin with."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Tables
from lakerec.language_config import FewRows
from lakerec.stages.base import Context
from lakerec.stages.outside import read_outside

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

ID = "id"
"""item_id, or text_hash, as a task is of items or of texts."""


def texts_of(context: Context, task: FewRows) -> DataFrame:
    """id, text of all that a task is about: every item's text, or the distinct texts of a field of the events' context."""
    if task.of == "items":
        return context.lake.read(Tables.ITEM_TEXT).select(F.col(C.ITEM_ID).alias(ID), C.TEXT)
    said = F.trim(F.col(C.CONTEXT)[task.field])
    texts = context.lake.read(Tables.BRONZE_EVENTS).select(said.alias(C.TEXT)).where(F.length(C.TEXT) > 0).distinct()
    return texts.select(F.sha2(C.TEXT, 256).alias(ID), C.TEXT)


def given_rows(context: Context, where: str, task: FewRows, columns: Mapping[str, str]) -> DataFrame:
    """id and columns, trimmed, of a labelled table; each row once, those that name nothing left out.

    Args:
        where: section of the config that names the table.
        columns: our name → the table's.

    Raises:
        InputError: the table is not there, or lacks a column.
    """
    key = task.key or (C.ITEM_ID if task.of == "items" else C.TEXT)
    options = {"header": True, **task.options} if task.format == "csv" else task.options
    table = read_outside(context.spark, task.path, task.format, options, (key, *columns.values()), where)
    own = F.trim(F.col(f"`{key}`").cast("string"))
    named = [F.trim(F.col(f"`{its}`").cast("string")).alias(ours) for ours, its in columns.items()]
    rows = table.select((own if task.of == "items" else F.sha2(own, 256)).alias(ID), *named)
    return rows.where(F.col(ID).isNotNull()).distinct()


def forget_others(context: Context, tables: Sequence[str], tasks: Collection[str]) -> None:
    """Remove the rows of tasks that the config does not name any more."""
    known = [F.lit(name) for name in tasks] or [F.lit("")]
    for table in tables:
        context.lake.delete(table, ~F.col(C.TASK).isin(known))

"""Tables of others that the config names: not ingested, read as they are when they are needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pyspark.errors import AnalysisException

from lakerec.errors import InputError, nearest, root_cause

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def read_outside(
    spark: SparkSession, path: str, kind: str, options: Mapping[str, Any], columns: Sequence[str], where: str
) -> DataFrame:
    """A table that somebody else keeps.

    Args:
        kind: Spark's name of its format.
        columns: that it must have.
        where: section of the config that names it.

    Raises:
        InputError: it is not there, or lacks a column.
    """
    try:
        found = spark.read.format(kind).options(**options).load(path)
    except AnalysisException as error:
        raise InputError(f"{where}.path: {path} cannot be read: {root_cause(error)}") from None
    for column in columns:
        if column not in found.columns:
            hint = f"{nearest(column, found.columns)}; found: {', '.join(found.columns)}"
            raise InputError(f"{where}: {path} has no column `{column}`{hint}")
    return found

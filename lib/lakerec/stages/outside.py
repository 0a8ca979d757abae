"""Tables of others that the config names: not ingested, read as they are when they are needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pyspark.errors import AnalysisException

from lakerec.errors import InputError, nearest, root_cause
from lakerec.ingest.read import Lying, list_files
from lakerec.stages.arrivals import digest, identities

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def state(spark: SparkSession, tables: Mapping[str, Lying]) -> str:
    """Digest of the tables' files as they lie now, of a Delta table's version; empty where there are no tables.

    Args:
        tables: by the section of the config that names each.

    Raises:
        InputError: one is there and cannot be read.
    """
    listed = [
        f"{where} {row}"
        for where, table in sorted(tables.items())
        for row in identities(list_files(spark, table, where, required=False).collect())
    ]
    return digest(listed) if tables else ""


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

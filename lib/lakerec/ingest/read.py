"""Raw files to rows of text, with where each came from.

    files → reader of the format → their columns + _file, _row, _corrupt, _raw

`_row` orders the rows of one file: the byte where Spark's block begins, plus the row's place in its partition. A block
has more bytes than rows, so the numbers of a later block are always higher.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lakerec.config import SourceTable
from lakerec.errors import InputError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

FILE, ROW, RAW, CORRUPT = "_file", "_row", "_raw", "_corrupt"
CORRUPT_RECORD = "_corrupt_record"
OWN = (FILE, ROW, RAW, CORRUPT)
ROW_IN_PARTITION = (1 << 33) - 1
"""Low bits of monotonically_increasing_id: the row's place in its partition."""


def list_files(spark: SparkSession, table: SourceTable, where: str) -> DataFrame:
    """Files of a source: source_file, length (bytes), modified_at. A Delta source counts as one file a version.

    Raises:
        InputError: nothing lies at the path.
    """
    from pyspark.errors import AnalysisException
    from pyspark.sql import functions as F

    try:
        if table.format == "delta":
            return _delta_version(spark, table)
        files = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(table.path)
        found = files.select(
            F.col("path").alias("source_file"), F.col("length"), F.col("modificationTime").alias("modified_at")
        )
        empty = found.isEmpty()
    except AnalysisException as error:
        if "PATH_NOT_FOUND" not in str(error):
            raise InputError(f"{where}.path: {table.path} cannot be read: {str(error).splitlines()[0]}") from None
        empty = True
    if empty:
        raise InputError(f"{where}.path: no file found at {table.path}; put the files there or correct the path")
    return found


def _delta_version(spark: SparkSession, table: SourceTable) -> DataFrame:
    """The newest commit of a Delta source, in the shape of a file."""
    history = spark.sql(f"DESCRIBE HISTORY delta.`{table.path.replace('`', '``')}` LIMIT 1")
    return history.selectExpr(
        f"concat('{table.path}', '@', version) AS source_file", "version AS length", "timestamp AS modified_at"
    )


def read_source(spark: SparkSession, table: SourceTable, files: Sequence[str], where: str) -> DataFrame:
    """Rows of the files: their own columns plus `_file`, `_row`, `_raw` (text or JSON of the row) and `_corrupt`.

    Raises:
        InputError: the mapping names a column that the files lack, or they hold no columns at all.
    """
    from pyspark.sql import functions as F

    rows = _load(spark, table, list(files))
    own = [name for name in rows.columns if name != CORRUPT_RECORD]
    check_columns(table, own, where)
    corrupt = F.col(CORRUPT_RECORD) if CORRUPT_RECORD in rows.columns else F.lit(None).cast("string")
    block = F.coalesce(F.col("_metadata.file_block_start"), F.lit(0))
    return rows.select(
        *[quoted(name) for name in own],
        F.col("_metadata.file_path").alias(FILE),
        (block + F.monotonically_increasing_id().bitwiseAND(F.lit(ROW_IN_PARTITION))).alias(ROW),
        F.coalesce(corrupt, F.to_json(F.struct(*[quoted(name) for name in own]))).alias(RAW),
        corrupt.isNotNull().alias(CORRUPT),
    )


def check_columns(table: SourceTable, found: Sequence[str], where: str) -> None:
    """Every column that the mapping names is there.

    Raises:
        InputError: one is not; the message has the nearest name and those found.
    """
    for ours, theirs in table.columns.items():
        if theirs not in found:
            near = difflib.get_close_matches(theirs, found, n=1)
            hint = f"; did you mean `{near[0]}`?" if near else ""
            raise InputError(f"{where}.columns.{ours}: no column `{theirs}`{hint} (found: {', '.join(found)})")


def quoted(name: str) -> Column:
    """A column by its literal name, whatever characters it has."""
    from pyspark.sql import functions as F

    return F.col(f"`{name.replace('`', '``')}`")


def _load(spark: SparkSession, table: SourceTable, files: list[str]) -> DataFrame:
    reader = spark.read.options(**table.options)
    if table.format == "parquet":
        return reader.parquet(*files)
    if table.format == "delta":
        return reader.format("delta").load(table.path)
    reader = reader.option("mode", "PERMISSIVE").option("columnNameOfCorruptRecord", CORRUPT_RECORD)
    if table.format == "json":
        rows = reader.option("primitivesAsString", "true").json(files)
        return reader.schema(_with_corrupt(rows)).json(files)
    rows = reader.csv(files[0])
    # A file whose header differs from the first one's is an error, not rows under wrong names.
    return reader.schema(_with_corrupt(rows)).option("enforceSchema", "false").csv(files)


def _with_corrupt(rows: DataFrame) -> str:
    """DDL of the columns, with the one that receives malformed rows."""
    fields = [f for f in rows.schema.fields if f.name != CORRUPT_RECORD]
    names = [f"`{f.name.replace('`', '``')}` {f.dataType.simpleString()}" for f in fields]
    return ", ".join([*names, f"{CORRUPT_RECORD} string"])

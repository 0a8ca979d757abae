"""Raw files to rows of text, with where each came from.

    files → reader of the format → their columns + _file, _row, _corrupt, _raw

`_row` orders the rows of one file: the byte where Spark's block begins, plus the row's place in its partition. A block
has more bytes than rows, so the numbers of a later block are always higher.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING
from urllib.parse import unquote

from lakerec.config import SourceTable
from lakerec.errors import InputError, nearest
from lakerec.lake.lake import absolute

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, DataFrameReader, SparkSession
    from pyspark.sql.types import StructType

FILE, ROW, RAW, CORRUPT = "_file", "_row", "_raw", "_corrupt"
CORRUPT_RECORD = "_corrupt_record"
OWN = (FILE, ROW, RAW, CORRUPT)
ROW_IN_PARTITION = (1 << 33) - 1
"""Low bits of monotonically_increasing_id: the row's place in its partition."""


def list_files(spark: SparkSession, table: SourceTable, where: str) -> DataFrame:
    """Files of a source: source_file, length (bytes), modified_at. A Delta source counts as one file a version.

    Spark does not list files of no bytes.

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
        raise InputError(
            f"{where}.path: no file found at {table.path}, or empty ones only; put the files there or correct the path"
        )
    return found


def _delta_version(spark: SparkSession, table: SourceTable) -> DataFrame:
    """The newest commit of a Delta source, in the shape of a file."""
    from pyspark.sql import functions as F

    history = spark.sql(f"DESCRIBE HISTORY delta.`{absolute(table.path).replace('`', '``')}` LIMIT 1")
    name = F.concat(F.lit(f"{table.path}@"), F.col("version").cast("string"))
    return history.select(
        name.alias("source_file"), F.col("version").alias("length"), F.col("timestamp").alias("modified_at")
    )


def read_source(
    spark: SparkSession, table: SourceTable, files: Sequence[str], where: str, needed: Sequence[str] = ()
) -> DataFrame:
    """Rows of the files: their own columns plus `_file`, `_row`, `_raw` (text or JSON of the row) and `_corrupt`.

    Files that hold nothing give no rows. A column that only some CSV files have is null in the rows of the others.

    Args:
        needed: our names that the source cannot do without.

    Raises:
        InputError: the mapping names a column that the files lack, or nothing covers a needed name.
    """
    frames = [_with_origin(rows) for rows in _load(spark, table, list(files), where, needed)]
    if not frames:
        return spark.createDataFrame([], _no_rows(_wanted(table, needed)))
    return reduce(lambda above, below: above.unionByName(below, allowMissingColumns=True), frames)


def check_columns(columns: Mapping[str, str], found: Sequence[str], where: str, file: str | None = None) -> None:
    """Every column that the mapping names is there.

    Raises:
        InputError: one is not; the message has the nearest name, those found, and the file where files differ.
    """
    for ours, theirs in columns.items():
        if theirs not in found:
            raise InputError(f"{where}.columns.{ours}: no column `{theirs}`{_found(theirs, found, file)}")


def check_needed(
    table: SourceTable, found: Sequence[str], where: str, needed: Sequence[str], file: str | None = None
) -> None:
    """Every needed name has a column, a default, or a column of the files with that very name.

    Raises:
        InputError: one has none of them.
    """
    covered = {*table.columns, *table.defaults, *(set(found) - set(table.columns.values()))}
    for ours in needed:
        if ours not in covered:
            hint = _found(ours, found, file)
            raise InputError(f"{where}.columns.{ours}: not mapped, and no column left is called `{ours}`{hint}")


def _found(name: str, found: Sequence[str], file: str | None) -> str:
    return f"{nearest(name, found)} (found: {', '.join(found)})" + (f" in {file}" if file else "")


def quoted(name: str) -> Column:
    """A column by its literal name, whatever characters it has."""
    from pyspark.sql import functions as F

    return F.col(f"`{name.replace('`', '``')}`")


def _load(
    spark: SparkSession, table: SourceTable, files: list[str], where: str, needed: Sequence[str]
) -> Iterator[DataFrame]:
    """Frames of the files' columns, checked; one a header where CSV files differ, none where they hold nothing."""
    if table.format == "csv":
        yield from _csv(spark, table, files, where, needed)
        return
    if table.format == "json":
        yield _json(spark, table, files, where, needed)
        return
    reader = _reader(spark, table, files)
    if table.format == "delta":
        version = files[0].rpartition("@")[2]
        rows = reader.format("delta").option("versionAsOf", version).load(absolute(table.path))
    else:
        rows = reader.parquet(*files)
    check_columns(table.columns, rows.columns, where)
    check_needed(table, rows.columns, where, needed)
    yield rows


def _reader(spark: SparkSession, table: SourceTable, files: Sequence[str]) -> DataFrameReader:
    """A new reader with the source's options; what folders such as `event_type=view` below its path say becomes columns.

    Spark's readers keep what was set on them: each read takes its own.
    """
    reader = spark.read.options(**_options(table))
    if table.format in ("csv", "json"):
        reader = reader.option("mode", "PERMISSIVE").option("columnNameOfCorruptRecord", CORRUPT_RECORD)
    folder = _plain(table.path).rstrip("/") + "/"
    below = table.format != "delta" and all(_plain(file).startswith(folder) for file in files)
    return reader.option("basePath", table.path) if below else reader


def _options(table: SourceTable) -> dict[str, str | int | float | bool]:
    """The source's options over ours: CSV has a header, and a quote within quotes is written twice (RFC 4180)."""
    given = {name.lower(): value for name, value in table.options.items()}
    return {"header": True, "escape": '"', **given} if table.format == "csv" else given


def _csv(
    spark: SparkSession, table: SourceTable, files: list[str], where: str, needed: Sequence[str]
) -> Iterator[DataFrame]:
    """One frame of text columns for each header. Spark compares only with the first file's, and fails where they differ."""
    several = str(_options(table)["header"]).lower() == "true" and len(files) > 1
    for group in _same_first_line(spark, files) if several else [files]:
        headed = _reader(spark, table, group).option("inferSchema", "false")
        columns = next((found for file in group if (found := headed.csv(file).columns)), None)
        if columns is not None:
            check_columns(table.columns, columns, where, group[0])
            check_needed(table, columns, where, needed, group[0])
            reader = _reader(spark, table, group).schema(_texts([*columns, CORRUPT_RECORD]))
            yield reader.option("enforceSchema", "false").csv(group)


def _same_first_line(spark: SparkSession, files: list[str]) -> list[list[str]]:
    """The files in groups of equal first lines; those with blank lines only are left out.

    Lines are compared by hash: a number is what Spark aggregates without sorting all lines of all files.
    """
    from pyspark.sql import functions as F

    path = F.col("_metadata.file_path").alias(FILE)
    lines = spark.read.text(files).where(F.trim("value") != "")
    hashed = lines.select(path, _place().alias(ROW), F.xxhash64("value").alias("line"))
    rows = hashed.groupBy(FILE).agg(F.min_by("line", ROW).alias("first")).collect()
    first_of = {_plain(unquote(row[FILE])): row["first"] for row in rows}
    groups: dict[int, list[str]] = {}
    for file in files:
        if (line := first_of.get(_plain(file))) is not None:
            groups.setdefault(line, []).append(file)
    return list(groups.values())


def _json(spark: SparkSession, table: SourceTable, files: list[str], where: str, needed: Sequence[str]) -> DataFrame:
    """Rows with the keys that occur in the files. An optional one that none has is null; where no line parses, all are.

    Raises:
        InputError: no row has a key that the source cannot do without, or one differs from the mapping in case only.
    """
    from pyspark.sql.types import StructType

    inferred = _reader(spark, table, files).option("primitivesAsString", "true").json(files).schema
    fields = [field for field in inferred.fields if field.name != CORRUPT_RECORD]
    names = [field.name for field in fields]
    if names:
        lower = {name.lower() for name in names}
        demanded = [name for name in needed if name not in table.defaults]
        must = {ours: theirs for ours, theirs in table.columns.items() if ours in demanded or theirs.lower() in lower}
        check_columns(must, names, where)
        check_needed(table, names, where, needed)
    absent = [name for name in _wanted(table, needed) if name not in names]
    schema = StructType([*fields, *_texts([*absent, CORRUPT_RECORD]).fields])
    return _reader(spark, table, files).schema(schema).json(files)


def _wanted(table: SourceTable, needed: Sequence[str]) -> list[str]:
    """Columns that the mapping reads, each once."""
    equal = [name for name in needed if name not in table.columns and name not in table.defaults]
    return list(dict.fromkeys([*table.columns.values(), *equal]))


def _texts(names: Sequence[str]) -> StructType:
    from pyspark.sql.types import StringType, StructField, StructType

    return StructType([StructField(name, StringType()) for name in names])


def _no_rows(names: Sequence[str]) -> StructType:
    """Schema of `read_source` where there is nothing to read."""
    from pyspark.sql.types import BooleanType, LongType

    return _texts([*names, FILE]).add(ROW, LongType()).add(RAW, "string").add(CORRUPT, BooleanType())


def _with_origin(rows: DataFrame) -> DataFrame:
    from pyspark.sql import functions as F

    own = [quoted(name) for name in rows.columns if name != CORRUPT_RECORD]
    corrupt = F.col(CORRUPT_RECORD) if CORRUPT_RECORD in rows.columns else F.lit(None).cast("string")
    return rows.select(
        *own,
        F.col("_metadata.file_path").alias(FILE),
        _place().alias(ROW),
        F.coalesce(corrupt, F.to_json(F.struct(*own))).alias(RAW),
        corrupt.isNotNull().alias(CORRUPT),
    )


def _place() -> Column:
    """Number that orders the rows of one file."""
    from pyspark.sql import functions as F

    block = F.coalesce(F.col("_metadata.file_block_start"), F.lit(0))
    return block + F.monotonically_increasing_id().bitwiseAND(F.lit(ROW_IN_PARTITION))


def _plain(path: str) -> str:
    """An absolute path without scheme, to compare the ways in which Spark writes one (file:/a, file:///a, /a)."""
    scheme = re.match(r"^[A-Za-z][A-Za-z0-9+.-]+:/+", path)
    return f"/{path[scheme.end() :]}" if scheme else os.path.abspath(path)

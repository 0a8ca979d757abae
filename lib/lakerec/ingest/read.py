"""Raw files to rows of text, with where each came from.

    files → how text files begin → reader of the format → their columns + FILE, ROW, CORRUPT, RAW, FAULTS → contract

ROW orders the rows of one file: the byte where Spark's block begins, plus the row's place in its partition. A block
has more bytes than rows, so the numbers of a later block are always higher. A file that is refused whole is one row.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import reduce
from typing import TYPE_CHECKING, Protocol

from lakerec.errors import InputError, root_cause
from lakerec.ingest.contract import apply_contract
from lakerec.ingest.drift import check_drift, check_mapping, check_personal, grouped_by_schema, wanted
from lakerec.ingest.openings import INVALID_UTF8, Opening, open_all
from lakerec.ingest.paths import decoded, nothing_found
from lakerec.ingest.rows import (
    CORRUPT,
    CORRUPT_RECORD,
    FAULTS,
    FILE,
    MALFORMED,
    RAW,
    RAW_LIMIT,
    ROW,
    held,
    origin,
    quoted,
)
from lakerec.ingest.text import MOST_COLUMNS, TEXT_FORMATS, read_csv, read_json, reader
from lakerec.lake.lake import absolute
from lakerec.source import SourceTable

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

TOO_WIDE = re.compile(r"Encountered error while reading file (\S+)\.\s.*TextParsingException: java\.lang\.ArrayIndex", re.S)
ROW_IN_PARTITION = (1 << 33) - 1
"""Low bits of monotonically_increasing_id: the row's place in its partition."""
NUL_BYTE, FIELD_TOO_LARGE = "nul_byte", "field_too_large"
FILE_SCHEMA = "source_file string, length bigint, modified_at timestamp"


class Lying(Protocol):
    """Where files lie: a section of the config that names them."""

    @property
    def path(self) -> str: ...

    @property
    def format(self) -> str: ...


def list_files(spark: SparkSession, table: Lying, where: str, required: bool = True) -> DataFrame:
    """Files of a source: source_file, length (bytes), modified_at. A Delta source counts as one file a version.

    Spark does not list files of no bytes, nor those whose name begins with `.` or `_`.

    Args:
        required: whether there has to be one.

    Raises:
        InputError: nothing lies at the path; or it cannot be read.
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
            raise InputError(f"{where}.path: {table.path} cannot be read: {root_cause(error)}") from None
        empty = True
    if empty and not required:
        return spark.createDataFrame([], FILE_SCHEMA)
    if empty:
        raise nothing_found(table.path, where)
    return found


def _delta_version(spark: SparkSession, table: Lying) -> DataFrame:
    """The newest commit of a Delta source, in the shape of a file."""
    from pyspark.sql import functions as F

    history = spark.sql(f"DESCRIBE HISTORY delta.`{absolute(table.path).replace('`', '``')}` LIMIT 1")
    name = F.concat(F.lit(f"{table.path}@"), F.col("version").cast("string"))
    return history.select(
        name.alias("source_file"), F.col("version").alias("length"), F.col("timestamp").alias("modified_at")
    )


def read_source(
    spark: SparkSession,
    table: SourceTable,
    files: Sequence[str],
    where: str,
    needed: Sequence[str] = (),
    proven: bool = False,
) -> DataFrame:
    """Rows of the files: their own and derived columns plus those of `ingest.rows`, without personal values.

    Files that hold nothing give no rows, one that is refused whole gives one. A column that only some files have is null in
    the rows of the others.

    Args:
        needed: our names that the source cannot do without.
        proven: the mapping has fitted earlier files; then a file that it does not fit at all is that file's fault.

    Raises:
        InputError: the mapping names a column that the files lack, nothing covers a needed name, or columns drifted
            that may not.
        ConfigError: SQL of the source does not fit its columns, or no file has a column that is said to be personal.
    """
    refused: list[Opening] = []
    loaded = list(_load(spark, table, list(files), where, needed, refused, proven))
    if loaded and not proven:
        check_personal(table, [name for rows in loaded for name in rows.columns], where)
    frames = [_with_origin(rows, table) for rows in loaded]
    if refused:
        rows = [(one.file, 0, one.raw, True, [one.fault]) for one in refused]
        frames.append(spark.createDataFrame(rows, origin()))
    if not frames or len(refused) == len(files):
        frames.append(spark.createDataFrame([], origin(*wanted(table, needed))))
    together = reduce(lambda above, below: above.unionByName(below, allowMissingColumns=True), frames)
    return apply_contract(spark, together, table, where)


@contextmanager
def told_of_width(table: SourceTable, where: str) -> Iterator[None]:
    """Rows are read in here; Spark's error of one that is too wide, which shows all of it, becomes a line.

    Raises:
        InputError: a row of CSV has more columns than Spark was told to read.
    """
    from py4j.protocol import Py4JJavaError
    from pyspark.errors import PySparkException

    try:
        yield
    except (Py4JJavaError, PySparkException) as error:
        found = TOO_WIDE.search(str(error))
        if found is None:
            raise
        most = table.own_options.get("maxcolumns", MOST_COLUMNS)
        raise InputError(
            f"{where}.path: {decoded(found[1])} has a row of more than {int(most):,} columns: mend the file, "
            "or set options.maxColumns to more"
        ) from None


def _load(
    spark: SparkSession,
    table: SourceTable,
    files: list[str],
    where: str,
    needed: Sequence[str],
    refused: list[Opening],
    proven: bool,
) -> Iterator[DataFrame]:
    """Frames of the files' columns, checked; one for each header or schema, none where files hold nothing.

    Files that are no tables are added to `refused` instead.
    """
    if table.format in TEXT_FORMATS:
        yield from _load_text(spark, table, files, where, needed, refused, proven)
        return
    if table.format == "delta":
        version = files[0].rpartition("@")[2]
        read = reader(spark, table, files).format("delta").option("versionAsOf", version)
        frames = [(files[0], read.load(absolute(table.path)))]
    else:
        frames = grouped_by_schema(lambda some: reader(spark, table, some).format(table.format), table, files, where)
    for file, rows in frames:
        named = file if len(frames) > 1 else None
        check_mapping(table, rows.columns, where, needed, named)
        check_drift(table, rows.columns, where, file)
        yield rows


def _load_text(
    spark: SparkSession,
    table: SourceTable,
    files: list[str],
    where: str,
    needed: Sequence[str],
    refused: list[Opening],
    proven: bool,
) -> Iterable[DataFrame]:
    """The same of CSV and JSON.

    Raises:
        InputError: no file can be read as the source is described, though another description would do.
    """
    openings = open_all(spark, table, files, where)
    readable = [one for one in openings if one.fault is None and one.line is not None]
    misread = next((one for one in openings if one.remedy), None)
    if misread is not None and not readable and not proven:
        raise InputError(f"{where}.path: {misread.file} {misread.remedy}")
    refused += [one for one in openings if one.fault is not None]
    if table.format == "csv":
        return read_csv(spark, table, readable, where, needed, refused, proven)
    return read_json(spark, table, readable, where, needed) if readable else []


def _with_origin(rows: DataFrame, table: SourceTable) -> DataFrame:
    """Add where each row came from, and what is wrong with how it is written."""
    from pyspark.sql import functions as F

    names = [name for name in rows.columns if name != CORRUPT_RECORD]
    # Of JSON, Spark keeps the bytes of such a row as they were.
    corrupt = F.make_valid_utf8(CORRUPT_RECORD) if CORRUPT_RECORD in rows.columns else F.lit(None).cast("string")
    return rows.select(
        *map(quoted, names),
        rows.metadataColumn("_metadata").getField("file_path").alias(FILE),
        _place(rows).alias(ROW),
        F.left(corrupt, F.lit(RAW_LIMIT)).alias(RAW),
        corrupt.isNotNull().alias(CORRUPT),
        _faults(rows, table, corrupt).alias(FAULTS),
    )


def _faults(rows: DataFrame, table: SourceTable, corrupt: Column) -> Column:
    """What is wrong with a row of text; null where nothing is, which costs a look through its bytes.

    Spark puts U+FFFD where bytes are no UTF-8.
    """
    from pyspark.sql import functions as F

    if table.format not in TEXT_FORMATS:
        return F.lit(None).cast("array<string>")
    values = [quoted(name) for name, kind in rows.dtypes if kind == "string"]
    checks = {
        FIELD_TOO_LARGE: [F.octet_length(value) > table.limits.field_bytes for value in values],
        NUL_BYTE: [F.contains(value, F.lit("\0")) for value in [*values, corrupt]],
        INVALID_UTF8: [F.contains(value, F.lit("\ufffd")) for value in [*values, corrupt]],
    }
    any_ = [(reduce(lambda one, other: one | other, each), code) for code, each in checks.items() if each]
    found = held([(corrupt.isNotNull(), MALFORMED), *any_])
    return F.when(F.size(found) > 0, found)


def _place(rows: DataFrame) -> Column:
    """Number that orders the rows of one file."""
    from pyspark.sql import functions as F

    block = F.coalesce(rows.metadataColumn("_metadata").getField("file_block_start"), F.lit(0))
    return block + F.monotonically_increasing_id().bitwiseAND(F.lit(ROW_IN_PARTITION))

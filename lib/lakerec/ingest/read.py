"""Raw files to rows of text, with where each came from.

    files → how text files begin → reader of the format → their columns + _file, _row, _corrupt, _raw, _faults → contract

`_row` orders the rows of one file: the byte where Spark's block begins, plus the row's place in its partition. A block
has more bytes than rows, so the numbers of a later block are always higher. A file that is refused whole is one row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from typing import TYPE_CHECKING

from lakerec.errors import InputError
from lakerec.ingest.contract import apply_contract
from lakerec.ingest.drift import (
    check_columns,
    check_drift,
    check_mapping,
    check_needed,
    fits_nothing,
    grouped_by_schema,
    wanted,
)
from lakerec.ingest.openings import INVALID_UTF8, Opening, codecs, open_all
from lakerec.ingest.paths import plain
from lakerec.ingest.rows import CORRUPT, FAULTS, FILE, MALFORMED, RAW, RAW_LIMIT, ROW, held, origin, quoted, texts
from lakerec.lake.lake import absolute
from lakerec.source import SourceTable

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, DataFrameReader, SparkSession

CORRUPT_RECORD = "_corrupt_record"
ROW_IN_PARTITION = (1 << 33) - 1
"""Low bits of monotonically_increasing_id: the row's place in its partition."""
HEADER_MISSING, NUL_BYTE, FIELD_TOO_LARGE = "header_missing", "nul_byte", "field_too_large"
FILE_SCHEMA = "source_file string, length bigint, modified_at timestamp"
TEXT_FORMATS = ("csv", "json")
DEPTH = 64
"""Levels of JSON from which on a row is malformed: each becomes a level of Spark's schema."""


def list_files(spark: SparkSession, table: SourceTable, where: str, required: bool = True) -> DataFrame:
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
            raise InputError(f"{where}.path: {table.path} cannot be read: {str(error).splitlines()[0]}") from None
        empty = True
    if empty and not required:
        return spark.createDataFrame([], FILE_SCHEMA)
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
        ConfigError: SQL of the source does not fit its columns.
    """
    refused: list[Opening] = []
    loaded = _load(spark, table, list(files), where, needed, refused, proven)
    frames = [_with_origin(rows, table) for rows in loaded]
    if refused:
        rows = [(one.file, 0, one.raw, True, [one.fault]) for one in refused]
        frames.append(spark.createDataFrame(rows, origin()))
    if not frames or len(refused) == len(files):
        frames.append(spark.createDataFrame([], origin(*wanted(table, needed))))
    together = reduce(lambda above, below: above.unionByName(below, allowMissingColumns=True), frames)
    return apply_contract(spark, together, table, where)


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
        openings = open_all(spark, table, files, where)
        refused += [one for one in openings if one.fault is not None]
        held = [one for one in openings if one.fault is None and one.line is not None]
        if table.format == "csv":
            yield from _csv(spark, table, held, where, needed, refused, proven)
        elif held:
            yield _json(spark, table, [one.file for one in held], where, needed)
        return
    reader = _reader(spark, table, files)
    if table.format == "delta":
        version = files[0].rpartition("@")[2]
        frames = [(files[0], reader.format("delta").option("versionAsOf", version).load(absolute(table.path)))]
    else:
        frames = grouped_by_schema(lambda some: _reader(spark, table, some).format(table.format), table, files, where)
    for file, rows in frames:
        named = file if len(frames) > 1 else None
        check_mapping(table, rows.columns, where, needed, named)
        check_drift(table, rows.columns, where, file)
        yield rows


def _reader(spark: SparkSession, table: SourceTable, files: Sequence[str]) -> DataFrameReader:
    """A new reader with the source's options; what folders such as `event_type=view` below its path say becomes columns.

    Spark's readers keep what was set on them: each read takes its own.
    """
    reader = spark.read.options(**_options(table))
    if table.format in TEXT_FORMATS:
        reader = reader.option("mode", "PERMISSIVE").option("columnNameOfCorruptRecord", CORRUPT_RECORD)
        reader = reader.option("io.compression.codecs", codecs(spark)).option("maxNestingDepth", DEPTH)
    folder = plain(table.path).rstrip("/") + "/"
    below = table.format != "delta" and all(plain(file).startswith(folder) for file in files)
    return reader.option("basePath", table.path) if below else reader


def _options(table: SourceTable) -> dict[str, str | int | float | bool]:
    """The source's options over ours: CSV has a header, and a quote within quotes is written twice (RFC 4180)."""
    given = {name.lower(): value for name, value in table.options.items()}
    return {"header": True, "escape": '"', **given} if table.format == "csv" else given


def _csv(
    spark: SparkSession,
    table: SourceTable,
    openings: list[Opening],
    where: str,
    needed: Sequence[str],
    refused: list[Opening],
    proven: bool,
) -> Iterator[DataFrame]:
    """One frame of text columns for each header. Spark compares only with the first file's, and fails where they differ.

    Files whose first line has not one of the columns that the mapping names are refused, unless no file has one.

    Raises:
        InputError: a header lacks some of the columns, or no file has one.
    """
    groups: dict[bytes | None, list[Opening]] = {}
    headed = str(_options(table)["header"]).lower() == "true"
    for one in openings:
        groups.setdefault(one.line if headed else None, []).append(one)
    fitting: list[tuple[list[Opening], list[str]]] = []
    headless: list[tuple[list[Opening], list[str]]] = []
    for group in groups.values():
        columns = _first_line(spark, table, group)
        (headless if headed and fits_nothing(table, columns, needed) else fitting).append((group, columns))
    proven = proven or bool(fitting)
    for group, columns in fitting if proven else headless:
        check_mapping(table, columns, where, needed, group[0].file)
        check_drift(table, columns, where, group[0].file)
        reader = _reader(spark, table, [one.file for one in group]).schema(texts(*columns, CORRUPT_RECORD))
        yield reader.option("enforceSchema", "false").csv([one.file for one in group])
    if proven:
        refused += [Opening(one.file, fault=HEADER_MISSING, raw=one.raw) for group, _ in headless for one in group]


def _first_line(spark: SparkSession, table: SourceTable, group: list[Opening]) -> list[str]:
    """Names of the columns as Spark reads them, or _c0, _c1, … where there is no header."""
    reader = _reader(spark, table, [one.file for one in group]).option("inferSchema", "false")
    return next((columns for one in group if (columns := reader.csv(one.file).columns)), [])


def _json(spark: SparkSession, table: SourceTable, files: list[str], where: str, needed: Sequence[str]) -> DataFrame:
    """Rows with the keys that occur in the files. An optional one that none has is null; where no line parses, all are.

    Raises:
        InputError: no row has a key that the source cannot do without, or one differs from the mapping in case only.
    """
    from pyspark.sql.types import StructField, StructType

    def fields_of(some: list[str]) -> list[StructField]:
        inferred = _reader(spark, table, some).option("primitivesAsString", "true").json(some).schema
        return [field for field in inferred.fields if field.name != CORRUPT_RECORD]

    fields = fields_of(files)
    names = [field.name for field in fields]
    if names:
        lower = {name.lower() for name in names}
        demanded = [name for name in needed if name not in table.defaults]
        must = {ours: theirs for ours, theirs in table.columns.items() if ours in demanded or theirs.lower() in lower}
        check_columns(must, names, where)
        check_needed(table, names, where, needed)
        if table.drift == "refuse":
            for file in files:
                check_drift(table, [field.name for field in fields_of([file])], where, file)
    absent = [name for name in wanted(table, needed) if name not in names]
    schema = StructType([*fields, *texts(*absent, CORRUPT_RECORD).fields])
    return _reader(spark, table, files).schema(schema).json(files)


def _with_origin(rows: DataFrame, table: SourceTable) -> DataFrame:
    """Add where each row came from, and what is wrong with how it is written."""
    from pyspark.sql import functions as F

    names = [name for name in rows.columns if name != CORRUPT_RECORD]
    # Of JSON, Spark keeps the bytes of such a row as they were.
    corrupt = F.make_valid_utf8(CORRUPT_RECORD) if CORRUPT_RECORD in rows.columns else F.lit(None).cast("string")
    return rows.select(
        *map(quoted, names),
        F.col("_metadata.file_path").alias(FILE),
        _place().alias(ROW),
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


def _place() -> Column:
    """Number that orders the rows of one file."""
    from pyspark.sql import functions as F

    block = F.coalesce(F.col("_metadata.file_block_start"), F.lit(0))
    return block + F.monotonically_increasing_id().bitwiseAND(F.lit(ROW_IN_PARTITION))

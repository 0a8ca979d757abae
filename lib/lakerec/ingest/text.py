"""CSV and JSON to rows of text, whatever they are written in: one frame for what Spark can read together.

CSV               one frame for each header, encoding and kind of folders
JSON, lines       Spark's reader of JSON; in other encodings than UTF-8 its reader of text, whose lines are parsed then
JSON, documents   options: {multiline: true}; one task reads a file as a whole
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

from lakerec.ingest.charsets import is_wide, whole
from lakerec.ingest.drift import (
    check_columns,
    check_drift,
    check_mapping,
    check_needed,
    fits_nothing,
    wanted,
    with_equal_types,
)
from lakerec.ingest.folders import Folders, by_folders, folders_of, within
from lakerec.ingest.openings import CODECS, MARK, Opening, codecs
from lakerec.ingest.paths import literal
from lakerec.ingest.rows import CORRUPT_RECORD, quoted, texts
from lakerec.source import SourceTable

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, DataFrameReader, SparkSession
    from pyspark.sql.types import StructField, StructType

HEADER_MISSING = "header_missing"
TEXT_FORMATS = ("csv", "json")
DEPTH = 64
"""Levels of JSON from which on a row is malformed: each becomes a level of Spark's schema."""
LINE, PARSED = "value", "_parsed"
LINE_END = "\n"
MOST_COLUMNS = 1 << 18
"""Columns that a row of CSV may have: more end the read. A row of fewer, but more than the header has, is malformed."""
Header = tuple[str, str | None]


def reader(spark: SparkSession, table: SourceTable, files: Sequence[str], charset: str | None = None) -> DataFrameReader:
    """A new reader with the source's options; what folders such as `event_type=view` below its path say becomes columns.

    Of files in different kinds of folders it does not. Spark's readers keep what was set on them: each read takes its own.

    Args:
        charset: of text files, where it is not UTF-8.
    """
    reader = spark.read.options(**_options(table, charset))
    if table.format in TEXT_FORMATS:
        reader = reader.options(**_parsing()).option(CODECS, codecs(spark))
    alike = by_folders(table, files) if table.format != "delta" else {}
    return reader.option("basePath", table.path) if len(alike) == 1 and () not in alike else reader


def _options(table: SourceTable, charset: str | None = None) -> dict[str, str | int | float | bool]:
    """The source's options over ours: CSV has a header, and a quote within quotes is written twice (RFC 4180)."""
    given = table.own_options
    if charset is not None:
        given = {**given, "encoding": charset}
        if not whole(table):
            given = {"linesep": LINE_END, **given} if is_wide(charset) else given
    return {"header": True, "escape": '"', "maxcolumns": MOST_COLUMNS, **given} if table.format == "csv" else given


def _parsing() -> dict[str, str]:
    """Options of Spark's parsers that keep bad rows, as rows."""
    return {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": CORRUPT_RECORD, "maxNestingDepth": str(DEPTH)}


def read_csv(
    spark: SparkSession,
    table: SourceTable,
    openings: Sequence[Opening],
    where: str,
    needed: Sequence[str],
    refused: list[Opening],
    proven: bool,
) -> Iterator[DataFrame]:
    """One frame of text columns for each header and kind of folders: Spark reads all of a frame by the first file's.

    Files whose first line has not one of the columns that the mapping names are refused, unless no file has one.

    Raises:
        InputError: a header lacks some of the columns, or no file has one.
    """
    groups: dict[tuple[Header | None, str | None, Folders], list[Opening]] = {}
    headed = str(_options(table)["header"]).lower() == "true"
    for one in openings:
        alike = (_header(table, one) if headed else None, one.charset, folders_of(table, one.file))
        groups.setdefault(alike, []).append(one)
    fitting: list[tuple[list[Opening], list[str]]] = []
    headless: list[tuple[list[Opening], list[str]]] = []
    for group in groups.values():
        columns = _first_line(spark, table, group)
        (headless if headed and fits_nothing(table, columns, needed) else fitting).append((group, columns))
    proven = proven or bool(fitting)
    for group, columns in fitting if proven else headless:
        check_mapping(table, columns, where, needed, group[0].file)
        check_drift(table, columns, where, group[0].file)
        yield _csv_rows(spark, table, group, columns)
    if proven:
        refused += [Opening(one.file, fault=HEADER_MISSING, raw=one.raw) for group, _ in headless for one in group]


def _header(table: SourceTable, one: Opening) -> Header:
    """What files have in common whose columns are the same; of one whose header goes on where nobody looked, its name."""
    quote, line = str(_options(table).get("quote", '"')), one.line or ""
    open_ = whole(table) and bool(quote) and line.count(quote) % 2 == 1
    return line, one.file if one.cut or open_ else None


def _first_line(spark: SparkSession, table: SourceTable, group: list[Opening]) -> list[str]:
    """Names of the columns as Spark reads them, or _c0, _c1, … where there is no header."""
    files, charset = [one.file for one in group], group[0].charset
    found = (
        reader(spark, table, files, charset).option("inferSchema", "false").csv(literal(file)).columns for file in files
    )
    return [_bare(name) if is_wide(charset) else name for name in next(filter(None, found), [])]


def _csv_rows(spark: SparkSession, table: SourceTable, group: list[Opening], columns: list[str]) -> DataFrame:
    """Rows of files with one header."""
    from pyspark.sql import functions as F

    files, charset = [one.file for one in group], group[0].charset
    # Spark would not know a header again where it, or `_bare`, made a name of its own of a blank or repeated one.
    read = reader(spark, table, files, charset).schema(texts(*columns, CORRUPT_RECORD)).option("enforceSchema", "true")
    rows = read.csv([*map(literal, files)])
    if not is_wide(charset):
        return rows
    return rows.withColumns({name: F.rtrim(quoted(name), F.lit("\r")) for name in (*columns, CORRUPT_RECORD)})


def _bare(name: str) -> str:
    """A name as it was meant: lines of UTF-16 are split at \\n alone."""
    return name.removeprefix(MARK).rstrip("\r")


def read_json(
    spark: SparkSession, table: SourceTable, openings: Sequence[Opening], where: str, needed: Sequence[str]
) -> list[DataFrame]:
    """Rows with the keys that occur in the files. An optional one that none has is null; where no line parses, all are.

    Raises:
        InputError: no row has a key that the source cannot do without, or one differs from the mapping in case only.
    """
    from pyspark.sql.types import StructType

    groups: dict[str | None, list[str]] = {}
    for one in openings:
        groups.setdefault(one.charset, []).append(one.file)
    fields = {charset: _json_fields(spark, table, files, charset) for charset, files in groups.items()}
    folders = {charset: by_folders(table, files) for charset, files in groups.items()}
    keys = [key for kinds in folders.values() for kind in kinds for key in kind[1:]]
    names = list(dict.fromkeys([*[field.name for found in fields.values() for field in found], *keys]))
    if names:
        lower = {name.lower() for name in names}
        demanded = [name for name in needed if name not in table.defaults]
        must = {ours: theirs for ours, theirs in table.columns.items() if ours in demanded or theirs.lower() in lower}
        check_columns(table, must, names, where)
        check_needed(table, names, where, needed)
        if table.drift == "refuse":
            for one in openings:
                found = _json_fields(spark, table, [one.file], one.charset)
                check_drift(table, [field.name for field in found], where, one.file)
    absent = texts(*[name for name in wanted(table, needed) if name not in names], CORRUPT_RECORD).fields
    frames = [
        (files[0], _json_rows(spark, table, files, charset, StructType([*within(fields[charset], kind), *absent])))
        for charset, kinds in folders.items()
        for kind, files in kinds.items()
    ]
    return [rows for _, rows in with_equal_types(frames, table, where)]


def _json_fields(spark: SparkSession, table: SourceTable, files: list[str], charset: str | None) -> list[StructField]:
    """What the files hold, scalars as text."""
    from pyspark.sql.types import StructType

    if charset is None or whole(table):
        inferred = (
            reader(spark, table, files, charset).option("primitivesAsString", "true").json([*map(literal, files)]).schema
        )
    else:
        lines, jvm = _lines(spark, table, files, charset), cast(Any, spark._jvm)
        strings = getattr(lines.select(LINE)._jdf, "as")(jvm.org.apache.spark.sql.Encoders.STRING())
        parser = spark.read.options(**_of_lines(table)).option("primitivesAsString", "true")
        inferred = StructType.fromJson(json.loads(parser._jreader.json(strings).schema().json()))
        inferred = StructType([*inferred.fields, *[field for field in lines.schema.fields if field.name != LINE]])
    return [field for field in inferred.fields if field.name != CORRUPT_RECORD]


def _json_rows(
    spark: SparkSession, table: SourceTable, files: list[str], charset: str | None, schema: StructType
) -> DataFrame:
    """Rows of files in one encoding."""
    from pyspark.sql import functions as F
    from pyspark.sql.types import ArrayType, StructType

    if charset is None:
        return reader(spark, table, files).schema(schema).json([*map(literal, files)])
    if whole(table):
        rows = reader(spark, table, files, charset).schema(schema).json([*map(literal, files)])
        return rows.withColumn(CORRUPT_RECORD, _decoded(CORRUPT_RECORD, charset))
    lines = _lines(spark, table, files, charset)
    folders = [name for name in lines.columns if name != LINE]
    inner = StructType([field for field in schema.fields if field.name not in folders])
    several = F.when(F.ltrim(LINE).startswith("["), F.from_json(LINE, ArrayType(inner), _of_lines(table)))
    several = F.when(~F.exists(several, lambda row: row.isNull()), several)
    one = F.array(F.from_json(LINE, inner, _of_lines(table)))  # of an array that is none of objects: a corrupt record
    parsed = lines.withColumn(PARSED, F.explode(F.coalesce(several, one)))
    return parsed.select(f"{PARSED}.*", *map(quoted, folders))


def _lines(spark: SparkSession, table: SourceTable, files: list[str], charset: str) -> DataFrame:
    """Lines that are not blank, as text, and what their folders say.

    Spark's reader of JSON takes a mark before the first line for a part of it, and keeps bad lines as the bytes they were.
    """
    from pyspark.sql import functions as F

    lines = reader(spark, table, files, charset).text([*map(literal, files)])
    line = F.rtrim(F.ltrim(_decoded(LINE, charset), F.lit(MARK)), F.lit("\r"))
    return lines.withColumn(LINE, line).where(F.trim(LINE) != "")


def _decoded(name: str, charset: str) -> Column:
    """Text of a column that Spark took for UTF-8."""
    from pyspark.sql import functions as F

    return F.decode(quoted(name).cast("binary"), charset)


def _of_lines(table: SourceTable) -> dict[str, str]:
    """Options for the parser of lines that are text already."""
    own = {name: value for name, value in _options(table).items() if name not in ("encoding", "charset", "linesep")}
    return {**{name: str(value) for name, value in own.items()}, **_parsing()}

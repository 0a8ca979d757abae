"""What a source declares of its columns and rows, applied to rows as read.

    fields → reasons against a row    personal → pseudonyms    explode, derive → new columns    rules → tags, reasons, drops

SQL sees each column in its declared type, a value that does not parse as null; what it cannot compute, such as a division by
zero, is null too. Rows of a source that declares nothing pass as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pyspark.errors import AnalysisException, PySparkException
from pyspark.logger import PySparkLogger
from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Sources
from lakerec.errors import ConfigError, InputError
from lakerec.ingest.personal import check_key, without_personal
from lakerec.ingest.rows import DECLARED, DROP, OURS, TAGGED, held, quoted
from lakerec.ingest.values import moment, number, trimmed
from lakerec.source import FieldConfig, SourceTable

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

SPARK_TYPES = {"int": "bigint"}
TEXT = f"{OURS}text_of_"
ANSI = "spark.sql.ansi.enabled"


def apply_contract(spark: SparkSession, rows: DataFrame, table: SourceTable, where: str) -> DataFrame:
    """Rows with derived columns, DECLARED (reasons), TAGGED and DROP, and without personal values.

    Raises:
        ConfigError: SQL of the source does not fit its columns.
        EnvironmentProblem: there is no key for pseudonyms.
    """
    if not (table.fields or table.personal or table.computed or table.rules):
        return rows
    rows = _with_absent(rows, [*table.fields, *table.personal])
    reasons = [reason for name, field in table.fields.items() for reason in _reasons(name, field, table)]
    rows = without_personal(spark, rows.withColumn(DECLARED, held(reasons)), table, where)
    if not (table.computed or table.rules):
        return rows
    texts = [name for name, field in table.fields.items() if field.type != "string" and name not in table.personal]
    typed = {name: typed_value(name, table.fields[name].type, table).alias(name) for name in texts}
    seen = rows.select(*[typed.get(name, quoted(name)) for name in rows.columns], *_kept(texts))
    with _lenient(spark):
        seen = _ruled(_computed(seen, table, where), table, where)
    back = {name: quoted(TEXT + name).alias(name) for name in texts}
    hidden = {TEXT + name for name in texts}
    return seen.select(*[back.get(name, quoted(name)) for name in seen.columns if name not in hidden])


def typed_value(name: str, kind: str, table: SourceTable) -> Column:
    """A column in its declared type; null where it does not parse."""
    column = quoted(name)
    if kind == "string":
        return trimmed(column)
    if kind == "double":
        return number(column)
    if kind == "timestamp":
        declared = table.time_format if table.columns.get(C.EVENT_TIME) == name else None
        return moment(column, declared, table.time_zone)
    return trimmed(column).try_cast(SPARK_TYPES.get(kind, kind))


def check_contract(spark: SparkSession, table: SourceTable, where: str) -> None:
    """What can be checked before a file is read: SQL, patterns, tags where there are none, the key of pseudonyms.

    Raises:
        ConfigError: one is wrong; the message has its key.
        EnvironmentProblem: there is no key for pseudonyms.
    """
    check_key(table, where)
    for rule in table.rules:
        if rule.action == "tag" and where != f"source.{Sources.EVENTS}":
            raise ConfigError(f"{where}.rules.{rule.code}: only events have tags; say quarantine or drop_with_count")
    for name, field in table.fields.items():
        if field.pattern is not None:
            _check(spark, F.lit("").rlike(field.pattern), f"{where}.fields.{name}.pattern")
    expressions = {f"explode.{name}": text for name, text in table.explode.items()}
    expressions |= {f"derive.{name}": text for name, text in table.derive.items()}
    expressions |= {f"rules.{rule.code}": rule.when for rule in table.rules}
    for key, text in expressions.items():
        _check(spark, F.expr(text), f"{where}.{key}")


def _check(spark: SparkSession, column: Column, key: str) -> None:
    try:
        with _lenient(spark):
            spark.range(1).select(column.alias("value")).collect()
    except PySparkException as error:
        # That a column is unknown shows only beside the files.
        if not (error.getCondition() or "").startswith("UNRESOLVED_COLUMN"):
            raise _refused(key, error) from None


def _refused(key: str, error: PySparkException) -> ConfigError:
    said = " ".join(str(error).split("\n\n")[0].partition("SQLSTATE")[0].split())
    return ConfigError(f"{key}: Spark cannot use this: {said.partition('] ')[2] or said}")


@contextmanager
def _lenient(spark: SparkSession) -> Iterator[None]:
    """Expressions analysed in here give null where they fail, and Spark does not print what is wrong with them.

    An expression keeps the mode that it was analysed in; Spark analyses when a frame is made.
    """
    before, loggers = (
        spark.conf.get(ANSI),
        [PySparkLogger.getLogger(f"{kind}QueryContextLogger") for kind in ("SQL", "DataFrame")],
    )
    spark.conf.set(ANSI, "false")
    for logger in loggers:
        logger.disabled = True
    try:
        yield
    finally:
        spark.conf.set(ANSI, str(before))
        for logger in loggers:
            logger.disabled = False


def _with_absent(rows: DataFrame, names: list[str]) -> DataFrame:
    """Declared columns that no file has, as nulls."""
    absent = [F.lit(None).cast("string").alias(name) for name in dict.fromkeys(names) if name not in rows.columns]
    return rows.select("*", *absent) if absent else rows


def _reasons(name: str, field: FieldConfig, table: SourceTable) -> Iterator[tuple[Column, str]]:
    """What speaks against a row by one column, and its code."""
    text, value = trimmed(quoted(name)), typed_value(name, field.type, table)
    kind = SPARK_TYPES.get(field.type, field.type)
    if field.required:
        yield text.isNull(), f"{name}_missing"
    if field.type != "string":
        yield text.isNotNull() & value.isNull(), f"{name}_not_{field.type}"
    if field.min is not None:
        yield value < F.lit(str(field.min)).cast(kind), f"{name}_below_min"
    if field.max is not None:
        yield value > F.lit(str(field.max)).cast(kind), f"{name}_above_max"
    if field.allowed is not None:
        allowed = [F.lit(str(one)).try_cast(kind) for one in field.allowed]
        yield ~value.isin(*allowed), f"{name}_not_allowed"
    if field.pattern is not None:
        yield ~text.rlike(field.pattern), f"{name}_pattern"


def _kept(names: list[str]) -> list[Column]:
    """The columns as text, under names that no SQL takes by mistake."""
    return [quoted(name).alias(TEXT + name) for name in names]


def _computed(rows: DataFrame, table: SourceTable, where: str) -> DataFrame:
    """Add the columns of `explode` and `derive`, in their order; each may use those before it."""
    for name in table.computed:
        if name in rows.columns:
            raise InputError(f"{where}: `{name}` is a column of the files; give the computed one another name")
    for section, named in (("explode", table.explode), ("derive", table.derive)):
        for name, text in named.items():
            value = F.coalesce(F.expr(text))  # within it Spark allows neither generators nor aggregates
            rows = _added(rows, name, F.explode_outer(value) if section == "explode" else value, f"{where}.{section}.{name}")
    return rows


def _ruled(rows: DataFrame, table: SourceTable, where: str) -> DataFrame:
    """Add what the rules say of each row."""
    marks: dict[str, list[tuple[Column, str]]] = {"tag": [], "quarantine": [], "drop_with_count": []}
    for rule in table.rules:
        key = f"{where}.rules.{rule.code}"
        _added(rows, rule.code, F.when(F.expr(rule.when), F.lit(rule.code)), key)
        marks[rule.action].append((F.expr(rule.when), rule.code))
    dropped = [F.when(condition, F.lit(code)) for condition, code in marks["drop_with_count"]]
    declared = F.concat(DECLARED, held(marks["quarantine"])) if marks["quarantine"] else F.col(DECLARED)
    left_out = F.coalesce(*dropped) if dropped else F.lit(None).cast("string")
    return rows.withColumns({DECLARED: declared, TAGGED: held(marks["tag"]), DROP: left_out})


def _added(rows: DataFrame, name: str, value: Column, key: str) -> DataFrame:
    """Add a column of the user's SQL.

    Raises:
        ConfigError: it does not fit the columns that are there.
    """
    try:
        return rows.withColumn(name, value)
    except AnalysisException as error:
        raise _refused(key, error) from None

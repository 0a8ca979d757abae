"""Their columns to ours, each row with the reasons against it.

    raw rows → one frame: our columns + source_file, source_row, digest, _raw (of refused rows), _reasons (empty: good),
               _dropped (code of the rule that leaves the row out, else null)

Pure functions of a frame and a source's config. A column of exactly our name that nothing maps is mapped to itself.
`digest` is a hash of the row's own columns: equal rows, equal digests.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Sources
from lakerec.errors import ConfigError, nearest
from lakerec.ingest.rows import CORRUPT, DECLARED, DROP, FAULTS, FILE, OWN, RAW, RAW_LIMIT, ROW, TAGGED, quoted
from lakerec.ingest.values import local_time, moment, number, plausible, trimmed
from lakerec.source import SourceTable

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

REASONS, DROPPED, TIME_TEXT = "_reasons", "_dropped", "_time_text"
NESTED = ("array", "struct", "map")
"""How the types begin that text holds as JSON."""
NEAR = 0.7
"""Likeness from which a name counts as misspelt: `user` for `user_id` is near, `order_id` is not."""
ITEM_ID_MISSING = "item_id_missing"
USER_ID_MISSING = "user_id_missing"
TIME_UNPARSABLE = "event_time_unparsable"
TIME_IMPLAUSIBLE = "event_time_implausible"
VALUE_NOT_A_NUMBER = "value_not_a_number"

EVENT_NAMES = (C.EVENT_ID, C.USER_ID, C.ITEM_ID, C.EVENT_TYPE, C.EVENT_TIME, C.VALUE)
ITEM_NAMES = (C.ITEM_ID, C.TITLE, C.DESCRIPTION, C.CATEGORIES)
USER_NAMES = (C.USER_ID,)


def map_events(raw: DataFrame, table: SourceTable) -> DataFrame:
    """Rows of bronze/events. A missing user is no reason against a row: it still counts for its item.

    `_time_text` is the time as the source writes it, for whoever has to say why it does not parse.
    """
    table = with_equal_names(table, raw.columns, Sources.EVENTS)
    time, value = _time(raw, table), number(mapped_column(table, C.VALUE))
    item = trimmed(mapped_column(table, C.ITEM_ID))
    digest = _digest(raw, table)
    return raw.select(
        F.coalesce(trimmed(mapped_column(table, C.EVENT_ID)), digest).alias(C.EVENT_ID),
        trimmed(mapped_column(table, C.USER_ID)).alias(C.USER_ID),
        item.alias(C.ITEM_ID),
        F.coalesce(trimmed(mapped_column(table, C.EVENT_TYPE)), F.lit("event")).alias(C.EVENT_TYPE),
        time.alias(C.EVENT_TIME),
        trimmed(mapped_column(table, C.EVENT_TIME)).alias(TIME_TEXT),
        value.alias(C.VALUE),
        _rest(raw, table, EVENT_NAMES).alias(C.CONTEXT),
        (F.col(TAGGED) if TAGGED in raw.columns else F.array().cast("array<string>")).alias(C.TAGS),
        *provenance(
            raw,
            table,
            (item.isNull(), ITEM_ID_MISSING),
            (time.isNull(), TIME_UNPARSABLE),
            (~plausible(time), TIME_IMPLAUSIBLE),
            (trimmed(mapped_column(table, C.VALUE)).isNotNull() & value.isNull(), VALUE_NOT_A_NUMBER),
        ),
    )


def map_items(raw: DataFrame, table: SourceTable) -> DataFrame:
    """Rows of bronze/items."""
    table = with_equal_names(table, raw.columns, Sources.ITEMS)
    item = trimmed(mapped_column(table, C.ITEM_ID))
    return raw.select(
        item.alias(C.ITEM_ID),
        trimmed(mapped_column(table, C.TITLE)).alias(C.TITLE),
        trimmed(mapped_column(table, C.DESCRIPTION)).alias(C.DESCRIPTION),
        _categories(raw, table).alias(C.CATEGORIES),
        _rest(raw, table, ITEM_NAMES).alias(C.ATTRIBUTES),
        *provenance(raw, table, (item.isNull(), ITEM_ID_MISSING)),
    )


def map_users(raw: DataFrame, table: SourceTable) -> DataFrame:
    """Rows of bronze/users."""
    table = with_equal_names(table, raw.columns, Sources.USERS)
    user = trimmed(mapped_column(table, C.USER_ID))
    return raw.select(
        user.alias(C.USER_ID),
        _rest(raw, table, USER_NAMES).alias(C.ATTRIBUTES),
        *provenance(raw, table, (user.isNull(), USER_ID_MISSING)),
    )


def check_names(table: SourceTable, source: str) -> None:
    """A key near a name of ours that nothing else covers is a slip; any other stays, as context or attribute.

    Raises:
        ConfigError: one is near; the message has the name.
    """
    names = Sources.NAMES[source]
    free = [name for name in names if name not in {*table.columns, *table.defaults, *table.computed}]
    for section, keys in (("columns", table.columns), ("defaults", table.defaults), ("derive", table.derive)):
        for key in keys:
            if key not in names and (hint := nearest(key, free, NEAR)):
                raise ConfigError(f"source.{source}.{section}: unknown name `{key}`{hint}")


def with_equal_names(table: SourceTable, found: Sequence[str], source: str) -> SourceTable:
    """The mapping, with the columns of exactly our name that it leaves alone."""
    taken = {*table.columns, *table.columns.values()}
    equal = {name: name for name in Sources.NAMES[source] if name in found and name not in taken}
    return table.model_copy(update={"columns": {**table.columns, **equal}})


def mapped_column(table: SourceTable, ours: str) -> Column:
    """Their column under our name, else its default, else null."""
    default = F.lit(table.defaults[ours]).cast("string") if ours in table.defaults else F.lit(None).cast("string")
    if ours not in table.columns:
        return default
    theirs = quoted(table.columns[ours])
    return F.coalesce(theirs.cast("string"), default) if ours in table.defaults else theirs


def _categories(raw: DataFrame, table: SourceTable) -> Column:
    """List of categories, from an array or from text with a separator."""
    column = mapped_column(table, C.CATEGORIES)
    if C.CATEGORIES in table.columns and dict(raw.dtypes)[table.columns[C.CATEGORIES]].startswith("array"):
        return column.cast("array<string>")
    parts = F.split(trimmed(column), rf"\Q{table.separator}\E")
    return F.filter(F.transform(parts, trimmed), lambda part: part.isNotNull())


def _rest(raw: DataFrame, table: SourceTable, named: tuple[str, ...]) -> Column:
    """All other columns as a map: mapped ones under our name, unmapped ones under theirs; nulls left out."""
    taken = set(table.columns.values())
    ours = {name: mapped_column(table, name) for name in (*table.columns, *table.defaults) if name not in named}
    theirs = {name: quoted(name) for name in raw.columns if name not in taken and name not in OWN}
    pairs = [part for name, column in {**theirs, **ours}.items() for part in (F.lit(name), _as_text(raw, name, column))]
    if not pairs:
        return F.lit(None).cast("map<string,string>")
    return F.map_filter(F.create_map(*pairs), lambda _, value: value.isNotNull())


def _as_text(raw: DataFrame, name: str, column: Column) -> Column:
    nested = dict(raw.dtypes).get(name, "").startswith(NESTED)
    return F.to_json(column) if nested else trimmed(column)


def _digest(raw: DataFrame, table: SourceTable) -> Column:
    """128 bits (two xxHash64) over the row's own columns, as 32 hexadecimal digits.

    Names and values are hashed in order of the names; a null is left out with its name, so that a column which only later
    files have changes nothing in the rows of earlier ones. A malformed row is hashed as its text, or where personal columns
    forbid to keep that, as its place.
    """
    types = dict(raw.dtypes)
    own = [(name, quoted(name)) for name in sorted(_received(raw, table))]
    own = [(name, F.to_json(value) if types[name].startswith(NESTED) else value) for name, value in own]
    parts = [part for name, value in own for part in (F.when(value.isNotNull(), F.lit(name)), value)]
    text = [F.when(F.col(CORRUPT), F.col(name)) for name in ((FILE, ROW) if table.personal else (RAW,))]
    return F.concat(*[F.lpad(F.hex(F.xxhash64(F.lit(salt), *parts, *text)), 16, "0") for salt in (1, 2)])


def _received(raw: DataFrame, table: SourceTable) -> list[str]:
    """Columns of the files, by name: without derived ones, which a change of their SQL would change."""
    return [name for name in raw.columns if name not in (*OWN, *table.derive)]


def provenance(raw: DataFrame, table: SourceTable, *reasons: tuple[Column, str]) -> list[Column]:
    """Where a row came from and what speaks against it."""
    whole = F.to_json(F.struct(*[quoted(name) for name in _received(raw, table)]))
    checks = F.filter(
        F.array(*[F.when(condition, F.lit(code)) for condition, code in reasons]), lambda code: code.isNotNull()
    )
    against = F.coalesce(FAULTS, F.concat(checks, DECLARED) if DECLARED in raw.columns else checks)
    return [
        F.col(FILE).alias(C.SOURCE_FILE),
        F.col(ROW).alias(C.SOURCE_ROW),
        _digest(raw, table).alias(C.DIGEST),
        F.when(F.size(against) > 0, F.left(F.coalesce(RAW, whole), F.lit(RAW_LIMIT))).alias(RAW),
        against.alias(REASONS),
        (F.col(DROP) if DROP in raw.columns else F.lit(None).cast("string")).alias(DROPPED),
    ]


def _time(raw: DataFrame, table: SourceTable) -> Column:
    """When the event happened; a column that holds times already is taken as it is."""
    kind = dict(raw.dtypes).get(table.columns.get(C.EVENT_TIME, ""), "")
    if kind.startswith("timestamp") and C.EVENT_TIME not in table.defaults:
        column = quoted(table.columns[C.EVENT_TIME])
        return local_time(column, table.time_zone) if kind == "timestamp_ntz" else column
    return moment(mapped_column(table, C.EVENT_TIME), table.time_format, table.time_zone)

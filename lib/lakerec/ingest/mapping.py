"""Their columns to ours, each row with the reasons against it.

    raw rows → one frame: our columns + source_file, source_row, digest, _raw (of refused rows), _reasons (empty: good),
               _dropped (code of the rule that leaves the row out, else null)

Pure functions of a frame and a source's config. A column of exactly our name that nothing maps is mapped to itself
(a `price` to the context, where `clean` looks for it only if it is named).
`digest` is a hash of the row's own columns: equal rows, equal digests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Sources
from lakerec.errors import ConfigError, nearest
from lakerec.ingest.rows import (
    CORRUPT,
    DECLARED,
    DROP,
    FAULTS,
    FILE,
    MALFORMED,
    OURS,
    OWN,
    RAW,
    RAW_LIMIT,
    ROW,
    TAGGED,
    held,
    once,
    quoted,
)
from lakerec.ingest.values import FLOATS, as_text, local_time, moment, number, plausible, trimmed
from lakerec.source import SourceTable

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

REASONS, DROPPED, TIME_TEXT, RECEIVED = "_reasons", "_dropped", "_time_text", "_raw"
WORKED, REST = f"{OURS}worked_", f"{OURS}rest_"
"""How the names begin under which `worked_out` keeps what it worked out."""
NESTED = ("array", "struct", "map")
"""How the types begin that text holds as JSON."""
NUMBERS = ("tinyint", "smallint", "int", "bigint", *FLOATS)
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
    rest = _rest(raw, table, EVENT_NAMES)
    worked = {C.ITEM_ID: identifier(raw, table, C.ITEM_ID), C.EVENT_TIME: _time(raw, table)}
    rows = worked_out(raw, table, {**worked, C.VALUE: number(mapped_column(table, C.VALUE))}, rest)
    item, time, value = ours(C.ITEM_ID), ours(C.EVENT_TIME), ours(C.VALUE)
    return rows.select(
        F.coalesce(identifier(raw, table, C.EVENT_ID), ours(C.DIGEST)).alias(C.EVENT_ID),
        identifier(raw, table, C.USER_ID).alias(C.USER_ID),
        item.alias(C.ITEM_ID),
        F.coalesce(trimmed(mapped_column(table, C.EVENT_TYPE)), F.lit("event")).alias(C.EVENT_TYPE),
        time.alias(C.EVENT_TIME),
        trimmed(mapped_column(table, C.EVENT_TIME)).alias(TIME_TEXT),
        value.alias(C.VALUE),
        _map(rest).alias(C.CONTEXT),
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
    rest = _rest(raw, table, ITEM_NAMES)
    rows = worked_out(raw, table, {C.ITEM_ID: identifier(raw, table, C.ITEM_ID)}, rest)
    return rows.select(
        ours(C.ITEM_ID).alias(C.ITEM_ID),
        trimmed(mapped_column(table, C.TITLE)).alias(C.TITLE),
        trimmed(mapped_column(table, C.DESCRIPTION)).alias(C.DESCRIPTION),
        _categories(raw, table).alias(C.CATEGORIES),
        _map(rest).alias(C.ATTRIBUTES),
        *provenance(raw, table, (ours(C.ITEM_ID).isNull(), ITEM_ID_MISSING)),
    )


def map_users(raw: DataFrame, table: SourceTable) -> DataFrame:
    """Rows of bronze/users."""
    table = with_equal_names(table, raw.columns, Sources.USERS)
    rest = _rest(raw, table, USER_NAMES)
    rows = worked_out(raw, table, {C.USER_ID: identifier(raw, table, C.USER_ID)}, rest)
    return rows.select(
        ours(C.USER_ID).alias(C.USER_ID),
        _map(rest).alias(C.ATTRIBUTES),
        *provenance(raw, table, (ours(C.USER_ID).isNull(), USER_ID_MISSING)),
    )


def check_names(table: SourceTable, source: str) -> None:
    """A key near a name of ours that nothing else covers, or that has its column, is a slip; others stay, as context or
    attribute.

    Raises:
        ConfigError: one is near; the message has the name.
    """
    names = Sources.NAMES[source]
    covered = {*table.columns, *table.defaults, *table.computed}
    for section, keys in (("columns", table.columns), ("defaults", table.defaults), ("derive", table.derive)):
        for key in keys:
            same = table.columns.get(key)
            free = [name for name in names if name not in covered or (same and table.columns.get(name) == same)]
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


def identifier(raw: DataFrame, table: SourceTable, ours: str) -> Column:
    """An id as text; one that a file holds as a float, because others are missing there, is written as the integer it is."""
    kind = dict(raw.dtypes).get(table.columns.get(ours, ""), "")
    if kind not in FLOATS:
        return trimmed(mapped_column(table, ours))
    text = as_text(quoted(table.columns[ours]), kind)
    return F.coalesce(text, F.lit(table.defaults[ours]).cast("string")) if ours in table.defaults else text


def _categories(raw: DataFrame, table: SourceTable) -> Column:
    """List of categories, from an array or from text with a separator."""
    column = mapped_column(table, C.CATEGORIES)
    if C.CATEGORIES in table.columns and dict(raw.dtypes)[table.columns[C.CATEGORIES]].startswith("array"):
        return column.cast("array<string>")
    parts = F.split(trimmed(column), rf"\Q{table.separator}\E")
    return F.filter(F.transform(parts, trimmed), lambda part: part.isNotNull())


def worked_out(
    raw: DataFrame, table: SourceTable, columns: Mapping[str, Column], rest: Mapping[str, Column] | None = None
) -> DataFrame:
    """Rows as read, and beside them `ours` of each column, of the digest and of the rest: worked out once for all uses."""
    added = {**columns, C.DIGEST: once(_digest(raw, table))}
    values = {f"{REST}{name}": value for name, value in (rest or {}).items()}
    return raw.withColumns({**{f"{WORKED}{name}": column for name, column in added.items()}, **values})


def ours(name: str) -> Column:
    """What `worked_out` has under our name."""
    return F.col(f"{WORKED}{name}")


def _rest(raw: DataFrame, table: SourceTable, named: tuple[str, ...]) -> dict[str, Column]:
    """All other columns as text: mapped ones under our name, unmapped ones under theirs."""
    taken = set(table.columns.values())
    mapped = {name: mapped_column(table, name) for name in (*table.columns, *table.defaults) if name not in named}
    theirs = {name: quoted(name) for name in raw.columns if name not in taken and name not in OWN}
    return {name: _as_text(raw, name, column) for name, column in {**theirs, **mapped}.items()}


def _map(rest: Mapping[str, Column]) -> Column:
    """The rest of a row as a map, nulls left out."""
    values = {name: quoted(f"{REST}{name}") for name in rest}
    if not values:
        return F.lit(None).cast("map<string,string>")
    whole = F.create_map(*[part for name, value in values.items() for part in (F.lit(name), value)])
    entries = [F.struct(F.lit(name).alias("key"), value.alias("value")) for name, value in values.items()]
    known = [F.when(value.isNotNull(), entry) for value, entry in zip(values.values(), entries, strict=True)]
    nothing = F.array(F.lit(None).cast("struct<key:string,value:string>"))
    complete = reduce(lambda one, other: one & other, [value.isNotNull() for value in values.values()])
    return F.when(complete, whole).otherwise(F.map_from_entries(F.array_except(F.array(*known), nothing)))


def _as_text(raw: DataFrame, name: str, column: Column) -> Column:
    nested = dict(raw.dtypes).get(name, "").startswith(NESTED)
    return F.to_json(column) if nested else trimmed(column)


def _digest(raw: DataFrame, table: SourceTable) -> Column:
    """128 bits (two xxHash64) over the row's own columns, as 32 hexadecimal digits.

    Names and values are hashed in order of the names; a null is left out with its name, so that a column which only later
    files have changes nothing in the rows of earlier ones. Numbers are hashed as what they are, whatever their type.
    A malformed row is hashed as its text, or where personal columns forbid to keep that, as its place. A row that stands for
    a whole file is hashed with the file's name: two cut files of which Java says the same are two.
    """
    types = dict(raw.dtypes)
    own = [(name, quoted(name)) for name in sorted(_received(raw, table))]
    parts = [part for name, value in own for part in (F.when(value.isNotNull(), F.lit(name)), _hashed(value, types[name]))]
    text = [F.when(F.col(CORRUPT), F.col(name)) for name in ((FILE, ROW) if table.personal else (RAW,))]
    if not table.personal:
        text.append(F.when(F.col(CORRUPT) & ~F.array_contains(FAULTS, F.lit(MALFORMED)), F.col(FILE)))
    return F.concat(*[F.lpad(F.hex(F.xxhash64(F.lit(salt), *parts, *text)), 16, "0") for salt in (1, 2)])


def _hashed(value: Column, kind: str) -> Column:
    """What of a value is hashed: a number's text is the same in every type that holds it."""
    if kind.startswith(NESTED):
        return F.to_json(value)
    return as_text(value, kind) if kind in NUMBERS or kind.startswith("decimal") else value


def _received(raw: DataFrame, table: SourceTable) -> list[str]:
    """Columns of the files, by name: without derived ones, which a change of their SQL would change."""
    return [name for name in raw.columns if name not in (*OWN, *table.derive)]


def provenance(raw: DataFrame, table: SourceTable, *reasons: tuple[Column, str]) -> list[Column]:
    """Where a row came from and what speaks against it; columns of what `worked_out` gives."""
    whole = F.to_json(F.struct(*[quoted(name) for name in _received(raw, table)]))
    checks = held(reasons)
    against = F.coalesce(FAULTS, F.concat(checks, DECLARED) if DECLARED in raw.columns else checks)
    return [
        F.col(FILE).alias(C.SOURCE_FILE),
        F.col(ROW).alias(C.SOURCE_ROW),
        ours(C.DIGEST).alias(C.DIGEST),
        F.when(F.size(against) > 0, F.left(F.coalesce(RAW, whole), F.lit(RAW_LIMIT))).alias(RECEIVED),
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

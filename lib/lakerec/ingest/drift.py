"""Whether the columns that files have are those that the source declares, and what becomes of the others.

drift: evolve    unknown columns are kept as context or attributes; a column whose type differs from file to file is text
drift: refuse    an unknown column, a declared one that a file lacks, or a type that differs is an error; nothing is written
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from lakerec.columns import Sources
from lakerec.errors import ConfigError, InputError, nearest, root_cause
from lakerec.ingest.folders import Folders, by_folders, folders_of, within
from lakerec.ingest.paths import literal
from lakerec.ingest.rows import quoted
from lakerec.ingest.values import as_text
from lakerec.source import SourceTable

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, DataFrameReader

AVRO = "org.apache.spark:spark-avro_2.13:4.0.2"
"""Spark's own module, which Spark from PyPI lacks; any release of the same minor version does."""
NESTED = ("array", "struct", "map")


def check_columns(
    table: SourceTable, columns: Mapping[str, str], found: Sequence[str], where: str, file: str | None = None
) -> None:
    """Every column that the mapping names is there.

    Raises:
        InputError: one is not; the message has the nearest name, those found, and the file where files differ.
    """
    for ours, theirs in columns.items():
        if theirs not in found:
            raise InputError(f"{where}.columns.{ours}: no column `{theirs}`{_found(table, theirs, found, file)}")


def check_needed(
    table: SourceTable, found: Sequence[str], where: str, needed: Sequence[str], file: str | None = None
) -> None:
    """Every needed name has a column, a default, or a column of the files with that very name.

    Raises:
        InputError: one has none of them.
    """
    covered = {*table.columns, *table.defaults, *table.computed, *(set(found) - set(table.columns.values()))}
    for ours in needed:
        if ours not in covered:
            hint = _found(table, ours, found, file)
            raise InputError(f"{where}.columns.{ours}: not mapped, and no column left is called `{ours}`{hint}")


def _found(table: SourceTable, name: str, found: Sequence[str], file: str | None) -> str:
    """What is there instead; of a source with personal columns nothing, since a file without header has a row there."""
    there = f" (found {len(found)} others)" if table.personal else f"{nearest(name, found)} (found: {', '.join(found)})"
    return there + (f" in {file}" if file else "")


def check_personal(table: SourceTable, found: Sequence[str], where: str) -> None:
    """Every personal column is there: under another name its values would be stored as they are.

    Raises:
        ConfigError: one is not.
    """
    for name in table.personal:
        if name not in found:
            hint = f"{nearest(name, found)}; name it as the files do, or leave it out"
            raise ConfigError(f"{where}.personal: no file has a column `{name}`{hint}")


def check_mapping(
    table: SourceTable, found: Sequence[str], where: str, needed: Sequence[str], file: str | None = None
) -> None:
    """The mapping finds all of its columns, and the source has what it cannot do without.

    Raises:
        InputError: not so.
    """
    check_columns(table, _of_files(table), found, where, file)
    check_needed(table, found, where, needed, file)


def check_drift(table: SourceTable, found: Sequence[str], where: str, file: str) -> None:
    """Where drift is refused, a file has the declared columns and no others but those that we call so in this source.

    Raises:
        InputError: not so; the message has file and column.
    """
    if table.drift == "evolve":
        return
    declared = {*_of_files(table).values(), *table.fields, *table.personal}
    ours = Sources.NAMES[where.rpartition(".")[2]]
    unknown = [f"`{name}`" for name in found if name not in declared and name not in ours]
    if unknown:
        what = f"a column {unknown[0]} that" if len(unknown) == 1 else f"columns {', '.join(unknown)} that"
        raise InputError(
            f"{where}.drift: {file} has {what} nothing declares; add to {where}.fields ({{NAME: {{}}}}), or say evolve"
        )
    for name in sorted(declared):
        if name not in found:
            raise InputError(f"{where}.drift: {file} lacks the declared column `{name}`; correct the file, or say evolve")


def fits_nothing(table: SourceTable, found: Sequence[str], needed: Sequence[str]) -> bool:
    """Whether a first line has not one of the names that the source declares: it is no header."""
    declared = {*wanted(table, needed), *table.fields, *table.personal}
    return bool(declared) and declared.isdisjoint(found)


def wanted(table: SourceTable, needed: Sequence[str]) -> list[str]:
    """Columns of the files that the mapping reads, each once."""
    covered = {*table.columns, *table.defaults, *table.computed}
    return list(dict.fromkeys([*_of_files(table).values(), *[name for name in needed if name not in covered]]))


def grouped_by_schema(
    reader: Callable[[Sequence[str]], DataFrameReader], table: SourceTable, files: list[str], where: str
) -> list[tuple[str, DataFrame]]:
    """The files as frames, each with the first of its files; one where schemas can be merged and folders are alike.

    Raises:
        InputError: a file cannot be read, or a type differs where drift is refused.
    """
    from py4j.protocol import Py4JJavaError
    from pyspark.errors import PySparkException
    from pyspark.sql.types import StructType

    try:
        if table.format == "parquet" and table.drift == "evolve" and len(files) > 1:
            merged, kinds = (
                reader(files).option("mergeSchema", "true").load([*map(literal, files)]),
                by_folders(table, files),
            )
            if len(kinds) == 1:
                return [(files[0], merged)]
            schemas = [StructType(within(merged.schema, kind)) for kind in kinds]
            several = zip(kinds.values(), schemas, strict=True)
            frames = [(some[0], reader(some).schema(schema).load([*map(literal, some)])) for some, schema in several]
            return with_equal_types(frames, table, where)
    except (PySparkException, Py4JJavaError) as error:
        if "MERGE_SCHEMA" not in str(error):
            raise InputError(f"{where}.path: {table.path} cannot be read: {_said(error)}") from None
    groups: dict[tuple[Folders, str], list[str]] = {}
    for file in files:
        try:
            schema = reader([file]).load(literal(file)).schema.json()
            groups.setdefault((folders_of(table, file), schema), []).append(file)
        except (PySparkException, Py4JJavaError) as error:
            raise InputError(f"{where}.path: {file} cannot be read: {_said(error)}") from None
    frames = [(group[0], reader(group).load([*map(literal, group)])) for group in groups.values()]
    return with_equal_types(frames, table, where)


def _said(error: Exception) -> str:
    """What Spark says against a file, in one line."""
    line = root_cause(error)
    if "data source: avro" not in line:
        return line
    return f"Spark was started without its module for avro: set spark.conf `spark.jars.packages: {AVRO}`"


def with_equal_types(frames: list[tuple[str, DataFrame]], table: SourceTable, where: str) -> list[tuple[str, DataFrame]]:
    """The frames, each with a file of its own to be named by, with columns whose type differs as text.

    Raises:
        InputError: one differs, and drift is refused.
    """
    kinds: dict[str, str] = {}
    differing = []
    for file, rows in frames:
        for name, kind in rows.dtypes:
            if kinds.setdefault(name, kind) != kind:
                if table.drift == "refuse":
                    raise InputError(f"{where}.drift: `{name}` is {kind} in {file}, but {kinds[name]} in {frames[0][0]}")
                differing.append(name)
    return [(file, rows.withColumns({name: _as_text(rows, name) for name in differing if name in rows.columns}))
            for file, rows in frames]  # fmt: skip


def _as_text(rows: DataFrame, name: str) -> Column:
    from pyspark.sql import functions as F

    kind = dict(rows.dtypes)[name]
    return F.to_json(quoted(name)) if kind.startswith(NESTED) else as_text(quoted(name), kind)


def _of_files(table: SourceTable) -> dict[str, str]:
    """The mapping, without what SQL computes."""
    return {ours: theirs for ours, theirs in table.columns.items() if theirs not in table.computed}

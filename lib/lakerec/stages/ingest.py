"""Raw files → bronze tables and the quarantine.

    files not read yet → rows ─┬─ good      → bronze/<source>
                               ├─ duplicate → counted
                               └─ refused   → bronze/quarantine, with reasons
    rows in = good + quarantined + duplicates, asserted in every batch

A batch is the set of files that are new since the last run; its id is their digest. Both appends carry the batch id as
their transaction, so that a batch cut short is completed, not repeated. When a source's mapping changes, its rows are
replaced by those of all files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark import StorageLevel
from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Tables
from lakerec.config import SourceTable
from lakerec.errors import ContractError, EmptyDataError, InputError
from lakerec.ingest import mapping, sort
from lakerec.ingest.read import RAW, list_files, read_source
from lakerec.stages.base import Context, Inputs, Result, Stage

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

BATCH_FILES = ("source_file", "length", "modified_at")


@dataclass(frozen=True)
class Source:
    """How one kind of source becomes a bronze table."""

    table: str
    map: Callable[[DataFrame, SourceTable], DataFrame]
    key: str
    """What tells repeats apart."""


SOURCES = {
    "events": Source(Tables.BRONZE_EVENTS, mapping.map_events, C.EVENT_ID),
    "items": Source(Tables.BRONZE_ITEMS, mapping.map_items, mapping.DIGEST),
    "users": Source(Tables.BRONZE_USERS, mapping.map_users, mapping.DIGEST),
}


@dataclass(frozen=True)
class Batch:
    """The files of one source that are read together."""

    source: str
    config: SourceTable
    files: DataFrame
    id: str
    mapping: str
    rebuild: bool
    """The mapping changed: replace the source's rows."""


def run(context: Context, inputs: Inputs) -> Result:
    """Read what is new of every source."""
    total = Result()
    for source, config in _configured(context).items():
        batch = _batch(context, source, config)
        if batch is not None:
            _ingest(context, batch, total)
    if context.lake.read(Tables.BRONZE_EVENTS).isEmpty():
        raise EmptyDataError(f"source.events: not one of {total.rows_in} rows was usable; bronze/quarantine has the reasons")
    return total


def fingerprint(context: Context) -> str:
    """Digest of all raw files as they lie there now."""
    parts = []
    for source, config in _configured(context).items():
        parts += [f"{source} {row}" for row in _identities(list_files(context.spark, config, f"source.{source}"))]
    return _digest(parts)


def _configured(context: Context) -> dict[str, SourceTable]:
    source = context.config.source
    return {name: config for name in SOURCES if (config := getattr(source, name)) is not None}


def _identities(files: DataFrame) -> list[str]:
    return sorted(f"{row.source_file} {row.length} {row.modified_at}" for row in files.select(*BATCH_FILES).collect())


def _digest(parts: list[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _batch(context: Context, source: str, config: SourceTable) -> Batch | None:
    """The files to read: those not in ops/files, or all when the mapping changed; None where there are none."""
    files = list_files(context.spark, config, f"source.{source}")
    known = context.lake.read(Tables.FILES).where(F.col(C.SOURCE) == source)
    mapped = _digest([config.model_dump_json(exclude={"path"})])
    rebuild = not known.where(F.col("mapping") != mapped).isEmpty()
    if not rebuild:
        files = files.join(known, on=list(BATCH_FILES), how="left_anti")
    identities = _identities(files)
    if not identities:
        return None
    return Batch(source, config, files, _digest([source, mapped, *identities]), mapped, rebuild)


def _ingest(context: Context, batch: Batch, total: Result) -> None:
    """Read, sort, write and account for one batch."""
    source, where = SOURCES[batch.source], f"source.{batch.source}"
    names = sorted(row.source_file for row in batch.files.collect())
    raw = read_source(context.spark, batch.config, names, where)
    mapped = source.map(raw, batch.config)
    kinds = sort.sort_rows(mapped, source.key, _known(context, batch, source)).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        counts = {row[0]: int(row[1]) for row in kinds.groupBy(sort.KIND).count().collect()}
        _refuse_unparsable_times(kinds, counts, where)
        _write(context, batch, source, kinds)
        _account(context, batch, source, raw.count(), counts, total)
    finally:
        kinds.unpersist()


def _known(context: Context, batch: Batch, source: Source) -> DataFrame | None:
    """Keys of earlier batches; a bronze table without a key column only knows repeats within a batch."""
    if source.key not in (C.EVENT_ID,) or batch.rebuild or not context.lake.exists(source.table):
        return None
    return context.lake.read(source.table).where(F.col(C.BATCH_ID) != batch.id).select(source.key)


def _refuse_unparsable_times(kinds: DataFrame, counts: dict[str, int], where: str) -> None:
    """A time column of which no value parses is a mistake in the config, not bad rows."""
    if counts.get(sort.GOOD, 0) or not counts.get(sort.REFUSED, 0):
        return
    refused = kinds.where(F.col(sort.KIND) == sort.REFUSED)
    unparsable = refused.where(F.array_contains(mapping.REASONS, mapping.TIME_UNPARSABLE))
    example = unparsable.select(RAW).first()
    others = refused.where(
        ~F.arrays_overlap(mapping.REASONS, F.array(*map(F.lit, (mapping.TIME_UNPARSABLE, mapping.MALFORMED))))
    )
    if example is not None and others.isEmpty():
        raise InputError(
            f"{where}.columns.event_time: no value parses as a time; a row: {example[RAW][:200]}; set {where}.time_format "
            "to seconds, milliseconds or a pattern such as dd/MM/yyyy HH:mm"
        )


def _write(context: Context, batch: Batch, source: Source, kinds: DataFrame) -> None:
    """Good rows to bronze, refused ones to the quarantine, the files to ops/files: in that order, each once."""
    lake = context.lake
    stamp: list[Column] = [F.lit(batch.id).alias(C.BATCH_ID), F.current_timestamp().alias(C.INGESTED_AT)]
    good = kinds.where(F.col(sort.KIND) == sort.GOOD).select("*", *stamp)
    refused = kinds.where(F.col(sort.KIND) == sort.REFUSED).select(
        F.lit(batch.source).alias(C.SOURCE), C.SOURCE_FILE, RAW, F.col(mapping.REASONS).alias(C.REASONS), *stamp
    )
    refused = refused.withColumnRenamed(RAW, C.RAW)
    files = batch.files.select("*", F.lit(batch.source).alias(C.SOURCE), F.lit(batch.mapping).alias("mapping"), *stamp)
    if batch.rebuild:
        lake.overwrite(good, source.table)
        lake.overwrite(refused, Tables.QUARANTINE, where=f"{C.SOURCE} = '{batch.source}'")
        lake.overwrite(files, Tables.FILES, where=f"{C.SOURCE} = '{batch.source}'")
        return
    lake.append(good, source.table, batch.id, 1)
    lake.append(refused, Tables.QUARANTINE, batch.id, 1)
    lake.append(files, Tables.FILES, batch.id, 1)


def _account(context: Context, batch: Batch, source: Source, rows_in: int, counts: dict[str, int], total: Result) -> None:
    """Compare the rows of the files with what the tables now hold of the batch.

    Raises:
        ContractError: they do not add up.
    """
    of_batch = F.col(C.BATCH_ID) == batch.id
    good = context.lake.read(source.table).where(of_batch).count()
    refused = context.lake.read(Tables.QUARANTINE).where(of_batch).count()
    duplicate = counts.get(sort.DUPLICATE, 0)
    if rows_in != good + refused + duplicate:
        raise ContractError(
            f"{batch.source}: {rows_in} rows in, but {good} good + {refused} quarantined + {duplicate} duplicates"
        )
    total.rows_in += rows_in
    total.rows_out += good
    total.rows_quarantined += refused
    total.rows_duplicate += duplicate
    total.details |= {
        f"{batch.source}.rows_in": str(rows_in), f"{batch.source}.good": str(good),
        f"{batch.source}.quarantined": str(refused), f"{batch.source}.duplicates": str(duplicate),
    }  # fmt: skip


STAGE = Stage(
    name="ingest",
    run=run,
    summary="raw files to bronze and the quarantine",
    writes=(Tables.BRONZE_EVENTS, Tables.BRONZE_ITEMS, Tables.BRONZE_USERS, Tables.QUARANTINE, Tables.FILES),
    sections=("source",),
    fingerprint=fingerprint,
)

"""Raw files → bronze tables and the quarantine.

    files not read yet → rows ─┬─ good      → bronze/<source>
                               ├─ duplicate → counted
                               └─ refused   → bronze/quarantine, with reasons
    rows in = good + quarantined + duplicates, asserted in every batch before its files count as read

A batch is the set of files that are new since the last run; its id is their digest. The appends carry the batch id as
their transaction, so that a batch cut short is completed, not repeated; where more files arrived in between, its rows
are duplicates of the larger batch. When a source's mapping changes, its rows are replaced by those of all files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark import StorageLevel
from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Sources, Tables
from lakerec.config import SourceTable
from lakerec.errors import ContractError, EmptyDataError, InputError
from lakerec.ingest import mapping, sort
from lakerec.ingest.contract import check_contract
from lakerec.ingest.read import RAW, list_files, read_source
from lakerec.ingest.rows import MALFORMED
from lakerec.ingest.values import check_time_format
from lakerec.stages.base import Context, Inputs, Result, Stage
from lakerec.stages.log import LOGGER

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

BATCH_FILES = ("source_file", "length", "modified_at")
FIGURES = {"rows_in": "rows_in", "rows_out": "good", "rows_quarantined": "quarantined", "rows_duplicate": "duplicates"}
"""Count in ops/runs and ops/files: its name in a run's details, after the source's."""
MUCH = 0.2
"""Share of refused rows from which on a person is told."""
SHOWN = 60
"""Characters of a value that an error shows."""


@dataclass(frozen=True)
class Source:
    """How one kind of source becomes a bronze table."""

    table: str
    map: Callable[[DataFrame, SourceTable], DataFrame]
    sort: Callable[[DataFrame, str, DataFrame | None, DataFrame | None], DataFrame]
    """Mapped rows, key, earlier good rows and earlier refused ones → rows with their kind."""
    key: str
    """What a row is about."""


SOURCES = {
    Sources.EVENTS: Source(Tables.BRONZE_EVENTS, mapping.map_events, sort.sort_rows, C.EVENT_ID),
    Sources.ITEMS: Source(Tables.BRONZE_ITEMS, mapping.map_items, sort.sort_descriptions, C.ITEM_ID),
    Sources.USERS: Source(Tables.BRONZE_USERS, mapping.map_users, sort.sort_descriptions, C.USER_ID),
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
    first: bool
    """Nothing of the source was read before."""


def run(context: Context, inputs: Inputs) -> Result:
    """Read what is new of every source."""
    if context.config.source.graph is not None:
        LOGGER.warning("stage=ingest run=%s source.graph is set, but this version does not read it yet", context.run_id)
    configured = _configured(context)
    for source, config in configured.items():
        check_contract(context.spark, config, f"source.{source}")
    for source, config in configured.items():
        batch = _batch(context, source, config)
        if batch is not None:
            _ingest(context, batch)
    total = _since_last_run(context)
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
    found = {name: config for name in SOURCES if (config := getattr(source, name)) is not None}
    for name, config in found.items():
        mapping.check_names(config, name)
    return found


def _identities(files: DataFrame) -> list[str]:
    return sorted(f"{row.source_file} {row.length} {row.modified_at}" for row in files.select(*BATCH_FILES).collect())


def _digest(parts: list[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _batch(context: Context, source: str, config: SourceTable) -> Batch | None:
    """The files to read: those not in ops/files, or all when the mapping changed; None where there are none."""
    where = f"source.{source}"
    files = list_files(context.spark, config, where)
    known = context.lake.read(Tables.FILES).where(F.col(C.SOURCE) == source)
    mapped = _digest([config.model_dump_json(exclude={"path"})])
    rebuild = not known.where(F.col("mapping") != mapped).isEmpty()
    if rebuild:
        _refuse_to_forget(known, files, config, where)
    else:
        files = files.join(known, on=list(BATCH_FILES), how="left_anti")
    identities = _identities(files)
    if not identities:
        return None
    return Batch(source, config, files, _digest([source, mapped, *identities]), mapped, rebuild, known.isEmpty())


def _refuse_to_forget(known: DataFrame, files: DataFrame, config: SourceTable, where: str) -> None:
    """A rebuild replaces all rows by those of the files that are there now: none that was read may be missing.

    Raises:
        InputError: some are gone. Versions of a Delta source are not: its newest one holds what it holds.
    """
    gone = known.select(C.SOURCE_FILE).distinct().join(files, on=C.SOURCE_FILE, how="left_anti")
    if config.format == "delta":
        gone = gone.where(~F.col(C.SOURCE_FILE).rlike("@[0-9]+$"))
    example = gone.orderBy(C.SOURCE_FILE).first()
    if example is not None:
        raise InputError(
            f"{where}: its mapping changed, which reads all files again, but {gone.count()} of those read before are no "
            f"longer at {config.path}, such as {example[0]}; put them back, undo the change, or start a new lake (lake.root)"
        )


def _ingest(context: Context, batch: Batch) -> None:
    """Read, sort, write and account for one batch."""
    source, where = SOURCES[batch.source], f"source.{batch.source}"
    check_time_format(context.spark, batch.config.time_format, where)
    names = sorted(row.source_file for row in batch.files.collect())
    proven = not (batch.first or batch.rebuild)
    raw = read_source(context.spark, batch.config, names, where, Sources.NEEDED[batch.source], proven)
    mapped = source.map(raw, batch.config)
    good, refused = _earlier(context, batch, source.table), _earlier(context, batch, Tables.QUARANTINE)
    kinds = source.sort(mapped, source.key, good, refused).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        counts = {row[0]: int(row[1]) for row in kinds.groupBy(sort.KIND).count().collect()}
        if batch.source == Sources.EVENTS and (batch.first or batch.rebuild):
            _refuse_unparsable_times(batch, kinds, counts)
        _write(context, batch, source, kinds)
        _record_files(context, batch, _account(context, batch, source, raw.count(), counts))
    finally:
        kinds.unpersist()


def _earlier(context: Context, batch: Batch, table: str) -> DataFrame | None:
    """Rows that other batches of the source left in a table; None where there are none to compare with."""
    if batch.rebuild or not context.lake.exists(table):
        return None
    rows = context.lake.read(table).where(F.col(C.BATCH_ID) != batch.id)
    return rows.where(F.col(C.SOURCE) == batch.source) if table == Tables.QUARANTINE else rows


def _refuse_unparsable_times(batch: Batch, kinds: DataFrame, counts: dict[str, int]) -> None:
    """A time column of which no value parses is a mistake in the config, not bad rows.

    Raises:
        InputError: all that was read was refused, and nothing but the time (or the shape of a row) speaks against it.
    """
    if counts.get(sort.GOOD, 0) or counts.get(sort.DUPLICATE, 0) or not counts.get(sort.REFUSED, 0):
        return
    refused = kinds.where(F.col(sort.KIND) == sort.REFUSED)
    unparsable = refused.where(F.array_contains(mapping.REASONS, mapping.TIME_UNPARSABLE))
    example = unparsable.select(mapping.TIME_TEXT).orderBy(F.col(mapping.TIME_TEXT).isNull()).first()
    others = refused.where(~F.arrays_overlap(mapping.REASONS, F.array(*map(F.lit, (mapping.TIME_UNPARSABLE, MALFORMED)))))
    if example is not None and others.isEmpty():
        where = f"source.{batch.source}"
        found = "all are empty" if example[0] is None else f"found {example[0][:SHOWN]!r}"
        tried = "" if batch.config.time_format is None else f" by {where}.time_format `{batch.config.time_format}`"
        raise InputError(
            f"{where}.columns.event_time: no value parses as a time{tried}; {found}; set {where}.time_format "
            "to seconds, milliseconds or a pattern such as dd/MM/yyyy HH:mm"
        )


def _write(context: Context, batch: Batch, source: Source, kinds: DataFrame) -> None:
    """Good rows to bronze, refused ones to the quarantine: in that order, each once."""
    good = kinds.where(F.col(sort.KIND) == sort.GOOD).select("*", *_stamp(batch))
    refused = kinds.where(F.col(sort.KIND) == sort.REFUSED).select(
        F.lit(batch.source).alias(C.SOURCE), C.SOURCE_FILE, F.col(RAW).alias(C.RAW),
        F.col(mapping.REASONS).alias(C.REASONS), C.DIGEST, *_stamp(batch),
    )  # fmt: skip
    if batch.rebuild:
        context.lake.overwrite(good, source.table)
    else:
        context.lake.append(good, source.table, batch.id, 1)
    _put(context, batch, refused, Tables.QUARANTINE)


def _record_files(context: Context, batch: Batch, figures: dict[str, int]) -> None:
    """The batch's files count as read from here on."""
    origin = [F.lit(batch.source).alias(C.SOURCE), F.lit(batch.mapping).alias("mapping")]
    counted = [F.lit(value).alias(name) for name, value in figures.items()]
    _put(context, batch, batch.files.select("*", *origin, *counted, *_stamp(batch)), Tables.FILES)


def _since_last_run(context: Context) -> Result:
    """Rows of all batches read since the last run that went to its end, those of runs that were cut short included."""
    runs = context.lake.read(Tables.RUNS).where(F.col("stage") == STAGE.name)
    end = F.unix_micros("started_at") + (F.col("seconds") * 1_000_000).cast("long")
    last = runs.agg(F.timestamp_micros(F.max(end)).alias("_end"))
    files = context.lake.read(Tables.FILES).crossJoin(F.broadcast(last))
    recent = files.where(F.col("_end").isNull() | (F.col(C.INGESTED_AT) > F.col("_end")))
    total = Result()
    for row in recent.dropDuplicates([C.SOURCE, C.BATCH_ID]).orderBy(C.INGESTED_AT).collect():
        for name in FIGURES:
            setattr(total, name, getattr(total, name) + row[name])
            detail = f"{row[C.SOURCE]}.{FIGURES[name]}"
            total.details[detail] = str(int(total.details.get(detail, 0)) + row[name])
    return total


def _put(context: Context, batch: Batch, rows: DataFrame, table: str) -> None:
    """Write rows of the batch to a table that all sources share."""
    if batch.rebuild:
        context.lake.overwrite(rows, table, where=f"{C.SOURCE} = '{batch.source}'")
    else:
        context.lake.append(rows, table, batch.id, 1)


def _stamp(batch: Batch) -> list[Column]:
    return [F.lit(batch.id).alias(C.BATCH_ID), F.current_timestamp().alias(C.INGESTED_AT)]


def _account(context: Context, batch: Batch, source: Source, rows_in: int, counts: dict[str, int]) -> dict[str, int]:
    """Compare the rows of the files with what the tables now hold of the batch; gives the figures.

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
    if refused > MUCH * rows_in:
        LOGGER.warning(
            "stage=ingest run=%s %s: %s of %s rows were refused, most of them as %s; bronze/quarantine has each",
            context.run_id, f"source.{batch.source}", refused, rows_in, _commonest_reason(context, of_batch),
        )  # fmt: skip
    return dict(zip(FIGURES, (rows_in, good, refused, duplicate), strict=True))


def _commonest_reason(context: Context, of_batch: Column) -> str:
    reasons = context.lake.read(Tables.QUARANTINE).where(of_batch).select(F.explode(C.REASONS).alias("reason"))
    row = reasons.groupBy("reason").count().orderBy(F.desc("count"), "reason").first()
    return str(row["reason"]) if row else "nothing"


STAGE = Stage(
    name="ingest",
    run=run,
    summary="raw files to bronze and the quarantine",
    writes=(Tables.BRONZE_EVENTS, Tables.BRONZE_ITEMS, Tables.BRONZE_USERS, Tables.QUARANTINE, Tables.FILES),
    sections=("source",),
    fingerprint=fingerprint,
)

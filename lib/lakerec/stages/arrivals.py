"""Which raw files are new, and the ledger of those that were read: ops/files.

    files there − ledger = batch ─► bronze ─► quarantine ─► ledger
                             │ its rows are there already: a run was cut short, nothing is written
                             │ other rows of the source came since it was compared: Overtaken, it is found anew
                             └ else they are appended, as one Delta transaction a table

A batch is the set of files of one source that are new since the last run; its id is the digest of how the source is read
and of these files. The ledger is written last, so that a batch cut short is read again, and what it had stored counts as
stored. Two runs at once need no lock: each write names the version of the table that the batch was compared with, Delta
takes one write of a source for each, and whoever comes second compares again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Tables
from lakerec.errors import InputError, LakeError
from lakerec.ingest.paths import decoded
from lakerec.ingest.read import FILE_SCHEMA, list_files
from lakerec.source import SourceTable
from lakerec.stages.base import Context, Result, last_run

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, Row

IDENTITY = (C.SOURCE_FILE, "length", "modified_at")
FIGURES = {"rows_in": "rows_in", "rows_out": "good", "rows_quarantined": "quarantined", "rows_duplicate": "duplicates",
           "rows_dropped": "dropped"}  # fmt: skip
"""Count in ops/files (all but the last in ops/runs too): its name in a run's details, after the source's."""
CACHED_BYTES = 8 << 20
"""Batches up to here are mapped once and kept; reading a larger one again is cheaper than keeping it."""
SCHEME = "rows-3"
"""How rows are told from one another; a source read by another scheme is read anew."""
MAPPING_DIGITS = 8
"""A batch's id begins with so many digits of its mapping's digest."""


class Overtaken(Exception):
    """Another run wrote rows of the source after a batch was compared with what was there."""


@dataclass(frozen=True)
class Batch:
    """The files of one source that are read together."""

    source: str
    config: SourceTable
    files: list[Row]
    """source_file, length (bytes), modified_at."""
    id: str
    mapping: str
    """Digest of how the source is read."""
    rebuild: bool
    """Replace the source's rows: the mapping changed, or all is to be read again."""
    first: bool
    """Nothing of the source was read before."""
    seen: dict[str, int]
    """Versions of its table and of the quarantine that it is compared with; 0, without rows yet, for one to be made."""

    @property
    def where(self) -> str:
        return f"source.{self.source}"

    @property
    def is_small(self) -> bool:
        return sum(row["length"] for row in self.files) <= CACHED_BYTES

    @property
    def stamp(self) -> list[Column]:
        """Columns that tie a row to the batch."""
        return [F.lit(self.id).alias(C.BATCH_ID), F.current_timestamp().alias(C.INGESTED_AT)]


def check_ledger(context: Context) -> None:
    """The tables are those that the last run left, or later ones: a lost ledger would have all files read again.

    Raises:
        LakeError: one is gone or older, and nobody asked for `--full`.
    """
    last = last_run(context.lake, "ingest")
    if last is None or context.full:
        return
    for table, left in last.outputs.items():
        version = context.lake.version(table)
        if version is None or version < left:
            found = "is gone" if version is None else f"is at version {version}"
            raise LakeError(
                f"{table} {found}, though run {last.run_id} left it at version {left}: bring it back (from a backup), "
                "or read all raw files again with --full"
            )


def find_batch(context: Context, source: str, config: SourceTable, table: str) -> Batch | None:
    """The files to read: those not in ops/files, or all of them when a rebuild is due; None where there are none.

    Args:
        table: where the source's rows go.
    """
    files = listed(context, source, config)
    known = context.lake.read(Tables.FILES).where(F.col(C.SOURCE) == source)
    mapped = digest([SCHEME, config.model_dump_json(exclude={"path"}, exclude_defaults=True)])
    state = known.agg(F.count("*"), F.max(F.col("mapping") != mapped)).first()
    assert state is not None, "an aggregate has a row"
    listed_before, changed = bool(state[0]), bool(state[1])
    stored = None if listed_before else _stored(context, source, table)
    if stored is not None:  # by a run that was cut short, or the ledger is lost
        changed = not stored.where(~F.col(C.BATCH_ID).startswith(mapped[:MAPPING_DIGITS])).isEmpty()
    rebuild = (listed_before or stored is not None) and (changed or context.full)
    if rebuild:
        before = known if stored is None else stored
        _refuse_to_forget(before, files, config, f"source.{source}", "its mapping changed, which" if changed else "--full")
    elif listed_before:
        fresh = context.spark.createDataFrame(files, FILE_SCHEMA).join(known, on=list(IDENTITY), how="left_anti")
        files = fresh.select(*IDENTITY).collect()
    if not files:
        return None
    seen = {name: context.lake.version(name) or 0 for name in (table, Tables.QUARANTINE)}
    over = [str(seen[table])] if rebuild else []
    id_ = mapped[:MAPPING_DIGITS] + digest([source, *over, *identities(files)])
    return Batch(source, config, files, id_, mapped, rebuild, not listed_before, seen)


def _stored(context: Context, source: str, table: str) -> DataFrame | None:
    """source_file, batch_id of the source's rows, good and refused ones; None where there are none."""
    refused = context.lake.read(Tables.QUARANTINE).where(F.col(C.SOURCE) == source)
    rows = context.lake.read(table).select(C.SOURCE_FILE, C.BATCH_ID).union(refused.select(C.SOURCE_FILE, C.BATCH_ID))
    return None if rows.isEmpty() else rows


def listed(context: Context, source: str, config: SourceTable) -> list[Row]:
    """All files of a source as they lie there now; where somebody watches, those that have come to rest, if any."""
    files = lying(context, source, config, required=context.at_rest is None)
    return files if context.at_rest is None else [file for file in files if (source, *file) in context.at_rest]


def lying(context: Context, source: str, config: SourceTable, required: bool) -> list[Row]:
    """source_file, length (bytes), modified_at of what lies at the source's path, at rest or not."""
    return list_files(context.spark, config, f"source.{source}", required).select(*IDENTITY).collect()


def identities(files: Iterable[Row]) -> list[str]:
    return sorted(f"{row[C.SOURCE_FILE]} {row['length']} {row['modified_at']}" for row in files)


def digest(parts: list[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _refuse_to_forget(before: DataFrame, files: list[Row], config: SourceTable, where: str, why: str) -> None:
    """A rebuild replaces all rows by those of the files that are there now: none that was read may be missing.

    Raises:
        InputError: some are gone. Versions of a Delta source are not: its newest one holds what it holds.
    """
    if config.format == "delta":
        before = before.where(~F.col(C.SOURCE_FILE).rlike(r"(@[0-9]+|\.parquet)$"))
    there = {decoded(file[C.SOURCE_FILE]) for file in files}
    read = {decoded(row[0]) for row in before.select(C.SOURCE_FILE).distinct().collect()}
    if gone := sorted(read - there):
        raise InputError(
            f"{where}: {why} reads all files again, but {len(gone)} of those read before are no "
            f"longer at {config.path}, such as {gone[0]}; put them back, undo the change, or start a new lake (lake.root)"
        )


def record(context: Context, batch: Batch, figures: dict[str, int]) -> None:
    """The batch's files count as read from here on."""
    origin = [F.lit(batch.source).alias(C.SOURCE), F.lit(batch.mapping).alias("mapping")]
    counted = [F.lit(value).alias(name) for name, value in figures.items()]
    files = context.spark.createDataFrame(batch.files, FILE_SCHEMA).coalesce(1)
    rows = files.select("*", *origin, *counted, *batch.stamp)
    if batch.rebuild:
        context.lake.overwrite(rows, Tables.FILES, where=of_source(batch))
    else:
        context.lake.append(rows, Tables.FILES, batch.id, 1)


def of_source(batch: Batch) -> str:
    """Rows of the batch's source in a table that all sources share, as SQL."""
    return f"{C.SOURCE} = '{batch.source}'"


def put(context: Context, batch: Batch, rows: DataFrame, table: str, expected: int, where: str | None = None) -> int:
    """Write rows of the batch to a table, once; gives how many of them it holds.

    Args:
        expected: how many there are.
        where: rows that a rebuild replaces; None: all.

    Raises:
        Overtaken: another run wrote to the table since the batch was compared with it; nothing was written.
    """
    own, stamped = F.col(C.BATCH_ID) == batch.id, rows.select("*", *batch.stamp)
    transaction = (f"ingest {batch.source}", batch.seen[table] + 1)
    if batch.rebuild:
        context.lake.overwrite(stamped, table, where, transaction)
    elif expected and context.lake.read(table).where(own).isEmpty():
        context.lake.append(stamped, table, *transaction)
    found = context.lake.read(table).where(own).count()
    if expected and not found:
        raise Overtaken(f"{batch.source}: another run wrote to {table} meanwhile")
    return found


def batches_of(files: DataFrame, *figures: Column) -> DataFrame:
    """source, batch_id and the batch's counts, which each of its files in the ledger repeats; and `figures` over these."""
    counted = [F.max(F.coalesce(name, F.lit(0))).alias(name) for name in FIGURES]
    return files.groupBy(C.SOURCE, C.BATCH_ID).agg(*counted, *figures)


def since_last_run(context: Context) -> Result:
    """Rows of all batches read since the last run that went to its end, those of runs that were cut short included."""
    runs = context.lake.read(Tables.RUNS).where(F.col("stage") == "ingest")
    end = F.unix_micros("started_at") + (F.col("seconds") * 1_000_000).cast("long")
    last = runs.agg(F.timestamp_micros(F.max(end)).alias("_end"))
    files = context.lake.read(Tables.FILES).crossJoin(F.broadcast(last))
    recent = files.where(F.col("_end").isNull() | (F.col(C.INGESTED_AT) > F.col("_end")))
    total = Result()
    for row in batches_of(recent).collect():
        for name, label in FIGURES.items():
            detail = f"{row[C.SOURCE]}.{label}"
            total.details[detail] = str(int(total.details.get(detail, 0)) + row[name])
            if hasattr(total, name):
                setattr(total, name, getattr(total, name) + row[name])
    return total

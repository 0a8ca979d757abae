"""Which raw files are new, and the ledger of those that were read: ops/files.

A batch is the set of files of one source that are new since the last run; its id is their digest. The ledger is written
last, so that a batch cut short is read again, and what it had stored counts as stored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Tables
from lakerec.errors import InputError
from lakerec.ingest.read import list_files
from lakerec.source import SourceTable
from lakerec.stages.base import Context, Result

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, Row

FILE_SCHEMA = f"{C.SOURCE_FILE} string, length bigint, modified_at timestamp"
IDENTITY = (C.SOURCE_FILE, "length", "modified_at")
FIGURES = {"rows_in": "rows_in", "rows_out": "good", "rows_quarantined": "quarantined", "rows_duplicate": "duplicates",
           "rows_dropped": "dropped"}  # fmt: skip
"""Count in ops/files (all but the last in ops/runs too): its name in a run's details, after the source's."""
CACHED_BYTES = 8 << 20
"""Batches up to here are mapped once and kept; reading a larger one again is cheaper than keeping it."""
SCHEME = "rows-2"
"""How rows are told from one another; a source read by another scheme is read anew."""


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


def find_batch(context: Context, source: str, config: SourceTable) -> Batch | None:
    """The files to read: those not in ops/files, or all of them when a rebuild is due; None where there are none."""
    files = listed(context, source, config)
    known = context.lake.read(Tables.FILES).where(F.col(C.SOURCE) == source)
    mapped = digest([SCHEME, config.model_dump_json(exclude={"path"}, exclude_defaults=True)])
    state = known.agg(F.count("*"), F.max(F.col("mapping") != mapped)).first()
    assert state is not None, "an aggregate has a row"
    rebuild = bool(state[0]) and (bool(state[1]) or context.full)
    if rebuild:
        _refuse_to_forget(
            context, known, files, config, f"source.{source}", "its mapping changed, which" if state[1] else "--full"
        )
    elif state[0]:
        fresh = context.spark.createDataFrame(files, FILE_SCHEMA).join(known, on=list(IDENTITY), how="left_anti")
        files = fresh.select(*IDENTITY).collect()
    if not files:
        return None
    return Batch(source, config, files, digest([source, mapped, *identities(files)]), mapped, rebuild, not state[0])


def listed(context: Context, source: str, config: SourceTable) -> list[Row]:
    """All files of a source as they lie there now."""
    return list_files(context.spark, config, f"source.{source}").select(*IDENTITY).collect()


def identities(files: Iterable[Row]) -> list[str]:
    return sorted(f"{row[C.SOURCE_FILE]} {row['length']} {row['modified_at']}" for row in files)


def digest(parts: list[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _refuse_to_forget(
    context: Context, known: DataFrame, files: list[Row], config: SourceTable, where: str, why: str
) -> None:
    """A rebuild replaces all rows by those of the files that are there now: none that was read may be missing.

    Raises:
        InputError: some are gone. Versions of a Delta source are not: its newest one holds what it holds.
    """
    there = context.spark.createDataFrame(files, FILE_SCHEMA)
    gone = known.select(C.SOURCE_FILE).distinct().join(there, on=C.SOURCE_FILE, how="left_anti")
    if config.format == "delta":
        gone = gone.where(~F.col(C.SOURCE_FILE).rlike("@[0-9]+$"))
    example = gone.orderBy(C.SOURCE_FILE).first()
    if example is not None:
        raise InputError(
            f"{where}: {why} reads all files again, but {gone.count()} of those read before are no "
            f"longer at {config.path}, such as {example[0]}; put them back, undo the change, or start a new lake (lake.root)"
        )


def record(context: Context, batch: Batch, figures: dict[str, int]) -> None:
    """The batch's files count as read from here on."""
    origin = [F.lit(batch.source).alias(C.SOURCE), F.lit(batch.mapping).alias("mapping")]
    counted = [F.lit(value).alias(name) for name, value in figures.items()]
    files = context.spark.createDataFrame(batch.files, FILE_SCHEMA).coalesce(1)
    put(context, batch, files.select("*", *origin, *counted, *batch.stamp), Tables.FILES)


def put(context: Context, batch: Batch, rows: DataFrame, table: str) -> None:
    """Write rows of the batch to a table that all sources share, once."""
    if batch.rebuild:
        context.lake.overwrite(rows, table, where=f"{C.SOURCE} = '{batch.source}'")
    else:
        context.lake.append(rows, table, batch.id, 1)


def since_last_run(context: Context) -> Result:
    """Rows of all batches read since the last run that went to its end, those of runs that were cut short included."""
    runs = context.lake.read(Tables.RUNS).where(F.col("stage") == "ingest")
    end = F.unix_micros("started_at") + (F.col("seconds") * 1_000_000).cast("long")
    last = runs.agg(F.timestamp_micros(F.max(end)).alias("_end"))
    files = context.lake.read(Tables.FILES).crossJoin(F.broadcast(last))
    recent = files.where(F.col("_end").isNull() | (F.col(C.INGESTED_AT) > F.col("_end")))
    batches = recent.groupBy(C.SOURCE, C.BATCH_ID).agg(*[F.max(F.coalesce(name, F.lit(0))).alias(name) for name in FIGURES])
    total = Result()
    for row in batches.collect():
        for name, label in FIGURES.items():
            detail = f"{row[C.SOURCE]}.{label}"
            total.details[detail] = str(int(total.details.get(detail, 0)) + row[name])
            if hasattr(total, name):
                setattr(total, name, getattr(total, name) + row[name])
    return total

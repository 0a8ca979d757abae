"""Raw files → bronze tables and the quarantine.

    files not read yet → rows ─┬─ good      → bronze/<source>
                               ├─ duplicate → counted
                               ├─ dropped   → counted, by a rule of the source
                               └─ refused   → bronze/quarantine, with reasons
    rows in = good + quarantined + duplicates + dropped, asserted in every batch before its files count as read

A batch cut short is completed, not repeated; where more files arrived in between, its rows are duplicates of the larger
batch. When a source's mapping changes, its rows are replaced by those of all files. `stages/arrivals.py` says how each row
comes to the tables once, whatever is killed, delivered again or run at the same time.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Sources, Tables
from lakerec.errors import ContractError, EmptyDataError, InputError, LakeError
from lakerec.ingest import graph, mapping, sort
from lakerec.ingest.contract import check_contract
from lakerec.ingest.paths import decoded, one_slash
from lakerec.ingest.read import read_source, told_of_width
from lakerec.ingest.rows import FILE, MALFORMED
from lakerec.ingest.values import check_time_format
from lakerec.source import SourceTable
from lakerec.stages import arrivals
from lakerec.stages.arrivals import Batch, Overtaken
from lakerec.stages.base import Context, Inputs, Result, Stage
from lakerec.stages.increments import kept
from lakerec.stages.log import LOGGER
from lakerec.stages.spreading import RAW_BYTES, spread

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

MUCH = 0.2
"""Share of refused rows from which on a person is told."""
TRIES = 5
"""Times that a batch is found anew where other runs write at the same time."""
SHOWN = 60
"""Characters of a value that an error shows."""


@dataclass(frozen=True)
class Source:
    """How one kind of source becomes a bronze table."""

    table: str
    map: Callable[[DataFrame, SourceTable], DataFrame]
    key: str
    """What a row is about."""


SOURCES = {
    Sources.EVENTS: Source(Tables.BRONZE_EVENTS, mapping.map_events, C.EVENT_ID),
    Sources.ITEMS: Source(Tables.BRONZE_ITEMS, mapping.map_items, C.ITEM_ID),
    Sources.USERS: Source(Tables.BRONZE_USERS, mapping.map_users, C.USER_ID),
    Sources.GRAPH: Source(Tables.BRONZE_GRAPH, graph.map_graph, C.DIGEST),
    Sources.GRAPH_LINKS: Source(Tables.BRONZE_GRAPH_LINKS, graph.map_graph_links, C.DIGEST),
}


@dataclass(frozen=True)
class Sorted:
    """What became of the rows of a batch."""

    good: DataFrame
    refused: DataFrame | None
    rows_in: int
    rows_refused: int
    """Those that came before included."""
    refused_again: int
    """Refused rows that came before."""
    duplicates: int
    """Good rows that came before."""
    dropped: int

    @property
    def rows_good(self) -> int:
        return self.rows_in - self.rows_refused - self.duplicates - self.dropped


def run(context: Context, inputs: Inputs) -> Result:
    """Read what is new of every source."""
    sources = configured(context).items()
    for source, config in sources:
        check_contract(context.spark, config, f"source.{source}")
    arrivals.check_ledger(context)
    for source, config in sources:
        _read_new(context, source, config)
    total = arrivals.since_last_run(context)
    if context.lake.read(Tables.BRONZE_EVENTS).isEmpty():
        raise EmptyDataError(f"source.events: not one of {total.rows_in} rows was usable; bronze/quarantine has the reasons")
    return total


def fingerprint(context: Context) -> str:
    """Digest of all raw files as they lie there now."""
    parts = []
    for source, config in configured(context).items():
        parts += [f"{source} {row}" for row in arrivals.identities(arrivals.listed(context, source, config))]
    return arrivals.digest(parts)


def lying(context: Context) -> frozenset[tuple[Any, ...]]:
    """Raw files of all sources, whether whole or not: source, name, length, time of the last change."""
    sources = configured(context).items()
    return frozenset((name, *file) for name, config in sources for file in arrivals.lying(context, name, config, False))


def has_new(context: Context) -> bool:
    """Whether a run would read a file."""
    sources = configured(context).items()
    return any(arrivals.find_batch(context, name, config, SOURCES[name].table) for name, config in sources)


def configured(context: Context) -> dict[str, SourceTable]:
    """The sources that the config describes, by name."""
    source = context.config.source
    found = {name: config for name in SOURCES if (config := getattr(source, name)) is not None}
    for name, config in found.items():
        mapping.check_names(config, name)
    return found


def _read_new(context: Context, source: str, config: SourceTable) -> None:
    """Ingest what is new of a source; where another run is quicker, what is left of it.

    Raises:
        LakeError: others were quicker each time.
    """
    for _ in range(TRIES):
        batch = arrivals.find_batch(context, source, config, SOURCES[source].table)
        if batch is None:
            return
        try:
            _ingest(context, batch)
            return
        except Overtaken as overtaken:
            LOGGER.info("stage=ingest run=%s %s: looking again", context.run_id, overtaken)
    raise LakeError(
        f"source.{source}: other runs were quicker at each of {TRIES} tries: run it again when they have finished"
    )


def _ingest(context: Context, batch: Batch) -> None:
    """Read, sort, write and account for one batch."""
    source = SOURCES[batch.source]
    check_time_format(context.spark, batch.config.time_format, batch.where)
    names = sorted(row[C.SOURCE_FILE] for row in batch.files)
    proven = not (batch.first or batch.rebuild)
    with ExitStack() as held:
        held.enter_context(told_of_width(batch.config, batch.where))
        raw = read_source(context.spark, batch.config, names, batch.where, Sources.NEEDED[batch.source], proven)
        held.enter_context(spread(context, sum(row["length"] for row in batch.files), RAW_BYTES))
        mapped = held.enter_context(kept(source.map(raw, batch.config), batch.is_small))
        if batch.source == Sources.EVENTS:
            placed = sort.with_place(mapped, _numbered(context, {*names, *raw.inputFiles()}))
            done = _sorted_events(context, batch, source, mapped, placed, held)
        else:
            done = _sorted_descriptions(context, batch, source, mapped)
        arrivals.record(context, batch, _write(context, batch, source, done))


def _sorted_events(
    context: Context, batch: Batch, source: Source, mapped: DataFrame, placed: DataFrame, held: ExitStack
) -> Sorted:
    """One pass counts and finds repeats, which the writing pass then leaves out.

    Args:
        placed: as of `sort.with_place`.
        held: keeps what is worked out until the batch is written.
    """
    tally = held.enter_context(kept(sort.tally(placed)))
    by_kind = tally.groupBy(sort.KIND).agg(
        F.sum(sort.ROWS), F.sum(sort.IDS), F.count(sort.HALVES[0]), F.min("earliest"), F.max("latest")
    )
    found = {row[0]: row for row in by_kind.collect()}
    rows = {kind: found[kind][1] if kind in found else 0 for kind in (sort.GOOD, sort.REFUSED, sort.LEFT_OUT)}
    if batch.first or batch.rebuild:
        _refuse_unparsable_times(batch, mapped, rows)
    repeats = met = None
    duplicates = 0
    if sort.GOOD in found:
        _, good, ids, repeated, earliest, latest = found[sort.GOOD]
        duplicates = good - ids
        repeats = tally.where(F.col(sort.HALVES[0]).isNotNull()) if repeated else None
        if (known := _earlier(context, batch, source.table)) is not None:
            span = [F.timestamp_micros(F.lit(micros)) for micros in (earliest, latest)]
            met = held.enter_context(kept(sort.met(placed, known.where(F.col(C.EVENT_TIME).between(*span)))))
            duplicates += met.count()
    refused, again = _refused(context, batch, mapped, rows[sort.REFUSED])
    rows_in, new = sum(rows.values()), sort.only_new(placed, repeats, met, bool(batch.config.explode))
    return Sorted(new, refused, rows_in, rows[sort.REFUSED], again, duplicates, rows[sort.LEFT_OUT])


def _numbered(context: Context, files: set[str]) -> DataFrame:
    """All files that the rows come from, in order of their names, which some readers list encoded and some do not."""
    if len(files) > sort.MOST_FILES:
        raise InputError(f"{len(files):,} files at once are more than {sort.MOST_FILES:,}: let them arrive in several runs")
    numbers = {form: number for number, name in enumerate(sorted(map(one_slash, files))) for form in (decoded(name), name)}
    return context.spark.createDataFrame(list(numbers.items()), f"{FILE} string, {sort.FILE_NUMBER} long")


def _sorted_descriptions(context: Context, batch: Batch, source: Source, mapped: DataFrame) -> Sorted:
    counts = [F.count("*"), F.count(F.when(sort.is_refused(), 1)), F.count(F.when(sort.is_dropped(), 1))]
    rows_in, refused_rows, dropped = mapped.agg(*counts).first()  # type: ignore[misc]
    kinds = sort.sort_descriptions(mapped, source.key, _earlier(context, batch, source.table))
    repeats = kinds.where(F.col(sort.KIND) == sort.DUPLICATE).count()
    refused, again = _refused(context, batch, mapped, refused_rows)
    return Sorted(kinds.where(F.col(sort.KIND) == sort.GOOD), refused, rows_in, refused_rows, again, repeats, dropped)


def _refused(context: Context, batch: Batch, mapped: DataFrame, rows: int) -> tuple[DataFrame | None, int]:
    """The refused rows to be kept, and how many more came before; nothing is read where there are none."""
    if not rows:
        return None, 0
    quarantined = _earlier(context, batch, Tables.QUARANTINE)
    return sort.newly_refused(mapped, quarantined), sort.refused_again(mapped, quarantined)


def _earlier(context: Context, batch: Batch, table: str) -> DataFrame | None:
    """Rows that other batches of the source left in a table; None where there are none to compare with."""
    if batch.rebuild or not context.lake.exists(table):
        return None
    rows = context.lake.read(table, batch.seen[table]).where(F.col(C.BATCH_ID) != batch.id)
    return rows.where(F.col(C.SOURCE) == batch.source) if table == Tables.QUARANTINE else rows


def _refuse_unparsable_times(batch: Batch, mapped: DataFrame, rows: dict[str, int]) -> None:
    """A time column of which no value parses is a mistake in the config, not bad rows.

    Raises:
        InputError: all that was read was refused, and nothing but the time (or the shape of a row) speaks against it.
    """
    if not rows[sort.REFUSED] or rows[sort.REFUSED] < sum(rows.values()):
        return
    unparsable = mapped.where(F.array_contains(mapping.REASONS, mapping.TIME_UNPARSABLE))
    example = unparsable.select(mapping.TIME_TEXT).orderBy(F.col(mapping.TIME_TEXT).isNull()).first()
    expected = F.array(*map(F.lit, (mapping.TIME_UNPARSABLE, MALFORMED)))
    if example is not None and mapped.where(~F.arrays_overlap(mapping.REASONS, expected)).isEmpty():
        where, pattern = batch.where, batch.config.time_format
        shown = "all are empty" if example[0] is None else f"found {example[0][:SHOWN]!r}"
        tried = "" if pattern is None else f" by {where}.time_format `{pattern}`"
        raise InputError(
            f"{where}.columns.event_time: no value parses as a time{tried}; {shown}; set {where}.time_format "
            "to seconds, milliseconds or a pattern such as dd/MM/yyyy HH:mm"
        )


def _write(context: Context, batch: Batch, source: Source, done: Sorted) -> dict[str, int]:
    """Good rows to bronze, refused ones to the quarantine: in that order, each once; gives the figures of ops/files.

    Raises:
        ContractError: the rows of the files and what the tables now hold of the batch do not add up.
        EmptyDataError: a rebuild would leave no row; nothing was written.
    """
    if batch.rebuild and not done.rows_good:
        raise EmptyDataError(
            f"{batch.where}: not one of {done.rows_in} rows is usable now, most were refused as {_commonest_reason(done)}; "
            f"{source.table} is left as it was"
        )
    good = arrivals.put(context, batch, done.good, source.table, done.rows_good)
    refused, new_refusals = 0, done.rows_refused - done.refused_again
    if done.refused is not None or batch.rebuild:
        rows = done.refused if done.refused is not None else done.good.where(F.lit(False))
        origin: list[F.Column | str] = [
            F.lit(batch.source).alias(C.SOURCE), C.SOURCE_FILE, F.col(mapping.RECEIVED).alias(C.RAW),
            F.col(mapping.REASONS).alias(C.REASONS), C.DIGEST,
        ]  # fmt: skip
        where = arrivals.of_source(batch)
        refused = arrivals.put(context, batch, rows.select(*origin), Tables.QUARANTINE, new_refusals, where)
    duplicate = done.duplicates + done.refused_again
    if (good, refused) != (done.rows_good, new_refusals):
        raise ContractError(
            f"{batch.source}: {done.rows_in} rows in, but {good} good + {refused} quarantined + {duplicate} duplicates "
            f"+ {done.dropped} dropped"
        )
    if refused > MUCH * done.rows_in:
        LOGGER.warning(
            "stage=ingest run=%s %s: %s of %s rows were refused, most of them as %s; bronze/quarantine has each",
            context.run_id, batch.where, refused, done.rows_in, _commonest_reason(done),
        )  # fmt: skip
    return dict(zip(arrivals.FIGURES, (done.rows_in, good, refused, duplicate, done.dropped), strict=True))


def _commonest_reason(done: Sorted) -> str:
    """Of the rows that were refused."""
    if done.refused is None:
        return "nothing"
    reasons = done.refused.select(F.explode(mapping.REASONS).alias("reason"))
    row = reasons.groupBy("reason").count().orderBy(F.desc("count"), "reason").first()
    return str(row["reason"]) if row else "nothing"


STAGE = Stage(
    name="ingest",
    run=run,
    summary="raw files to bronze and the quarantine",
    writes=(*[source.table for source in SOURCES.values()], Tables.QUARANTINE, Tables.FILES),
    sections=("source",),
    settles_races=True,
    fingerprint=fingerprint,
)

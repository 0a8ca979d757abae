"""Tells good rows from repeats, refused rows and dropped ones; every row of a batch is exactly one of the four.

refused row        a reason speaks against it; repeat: the same row was refused before
dropped row        a rule of the source says to count it and let it go
event              repeat: the same row came before, in the batch or in an earlier one
item or user row   repeat: it says nothing new, though what it says may be old and true again

Events are many, so their rows are not moved: what is grouped is two numbers of the digest and the place of a row, and
what comes of it, the digests that came more than once, is small enough to be looked up beside each row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.ingest.mapping import DROPPED, REASONS
from lakerec.ingest.rows import FILE

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

KIND, GOOD, DUPLICATE, REFUSED, LEFT_OUT = "_kind", "good", "duplicate", "refused", "dropped"
BEFORE, AGAIN, OLD = "_before", "_again", "_old"
HALVES = ("_low", "_high")
FILE_NUMBER, PLACE, FIRST, ROWS, IDS = "_file_number", "_place", "_first", "rows", "ids"
ROW_BITS = 42
"""Bits of a place that number the rows of one file: ROW is below its length in bytes plus 2³³."""
MOST_FILES = 1 << (63 - ROW_BITS)
"""Files of one batch that a place can number."""


def is_refused() -> Column:
    return F.size(REASONS) > 0


def is_dropped() -> Column:
    return ~is_refused() & F.col(DROPPED).isNotNull()


def is_candidate() -> Column:
    """Whether nothing speaks against the row but, perhaps, that it came before."""
    return ~is_refused() & F.col(DROPPED).isNull()


def with_place(mapped: DataFrame, files: DataFrame) -> DataFrame:
    """Add the digest as two numbers, and the row's place in the batch as one: by file, then by row.

    Args:
        files: FILE (the decoded source_file), _file_number (in order of the names): all that `mapped` was read from.
            A file that is refused whole goes by the name it was listed under, which may be none that can be decoded.
    """
    decoded = F.expr(f"coalesce(try_url_decode(replace({C.SOURCE_FILE}, '+', '%2B')), {C.SOURCE_FILE})")
    numbered = mapped.withColumn(FILE, decoded).join(F.broadcast(files), on=FILE, how="left").drop(FILE)
    unknown = F.raise_error(F.concat(F.lit("a row of a file that was not listed: "), C.SOURCE_FILE)).cast("long")
    number = F.coalesce(F.col(FILE_NUMBER).cast("long"), unknown)
    return numbered.withColumns({**_halves(F.col(C.DIGEST)), PLACE: F.shiftleft(number, ROW_BITS) + F.col(C.SOURCE_ROW)})


def tally(placed: DataFrame) -> DataFrame:
    """Rows of the batch by kind and, where a good row comes more than once, by digest: few rows, out of one pass.

    Returns:
        _kind; _low, _high (null: all rows of the kind that come once); rows; ids; _first place; earliest, latest time in
        microseconds, which no time zone of the driver's moves.
    """
    kind = F.when(is_refused(), REFUSED).when(is_dropped(), LEFT_OUT).otherwise(GOOD)
    halves = [F.when(is_candidate(), F.col(name)).alias(name) for name in HALVES]
    each = placed.groupBy(kind.alias(KIND), *halves).agg(
        F.count("*").alias(ROWS), F.min(PLACE).alias(FIRST), F.min(F.unix_micros(C.EVENT_TIME)).alias("_time")
    )
    several = (F.col(KIND) == GOOD) & (F.col(ROWS) > 1)
    return each.groupBy(KIND, *[F.when(several, F.col(name)).alias(name) for name in HALVES]).agg(
        F.sum(ROWS).alias(ROWS), F.count("*").alias(IDS), F.min(FIRST).alias(FIRST),
        F.min("_time").alias("earliest"), F.max("_time").alias("latest"),
    )  # fmt: skip


def met(placed: DataFrame, known: DataFrame) -> DataFrame:
    """Rows of the batch that an earlier one had: their digest, each once.

    Args:
        known: rows of bronze/events with event_id and digest (null: the event id is the digest).
    """
    halves = [half.alias(name) for name, half in _halves(F.coalesce(C.DIGEST, C.EVENT_ID)).items()]
    batch = placed.where(is_candidate()).select(*HALVES)
    return known.select(*halves).join(batch, on=list(HALVES), how="left_semi").dropDuplicates(list(HALVES))


def only_new(placed: DataFrame, repeats: DataFrame | None, known: DataFrame | None, exploded: bool = False) -> DataFrame:
    """Good rows that are no repeat, `digest` null where it is the event id, so that it is not stored twice.

    Args:
        repeats: of `tally`, those with a digest; None: there are none.
        known: of `met`; None: there are none.
        exploded: whether one row of a file may be several of ours, at the same place.
    """
    kept = placed.where(is_candidate())
    if repeats is not None:
        kept = kept.join(repeats.select(*HALVES, FIRST), on=list(HALVES), how="left")
        kept = kept.where(F.col(FIRST).isNull() | (F.col(PLACE) == F.col(FIRST)))
        kept = kept.dropDuplicates(list(HALVES)) if exploded else kept
    if known is not None:
        kept = kept.join(known, on=list(HALVES), how="left_anti")
    return kept.withColumn(C.DIGEST, F.when(F.col(C.DIGEST) != F.col(C.EVENT_ID), F.col(C.DIGEST)))


def _halves(digest: Column) -> dict[str, Column]:
    """128 bits as two numbers, which Spark groups and joins without sorting."""
    return {name: F.xxhash64(F.lit(salt), digest) for salt, name in enumerate(HALVES)}


def newly_refused(mapped: DataFrame, quarantined: DataFrame | None) -> DataFrame:
    """Refused rows that did not come before, in the batch or in an earlier one: the first of each by file and place.

    Args:
        quarantined: rows that earlier batches refused, with their digests; None: there are none.
    """
    refused = mapped.where(is_refused())
    if quarantined is not None:
        refused = refused.join(quarantined.select(C.DIGEST), on=C.DIGEST, how="left_anti")
    first = Window.partitionBy(C.DIGEST).orderBy(C.SOURCE_FILE, C.SOURCE_ROW)
    return refused.withColumn(PLACE, F.row_number().over(first)).where(F.col(PLACE) == 1).drop(PLACE)


def refused_again(mapped: DataFrame, quarantined: DataFrame | None) -> int:
    """How many refused rows are not among the `newly_refused`; counted on its own, so that the two can be compared."""
    refused = mapped.where(is_refused()).groupBy(C.DIGEST).agg(F.count("*").alias(ROWS))
    known = quarantined.select(C.DIGEST).distinct().withColumn(BEFORE, F.lit(1)) if quarantined is not None else None
    refused = refused.withColumn(BEFORE, F.lit(0)) if known is None else refused.join(known, on=C.DIGEST, how="left")
    again = F.sum(F.col(ROWS) - 1 + F.coalesce(BEFORE, F.lit(0)))
    return int(refused.agg(F.coalesce(again, F.lit(0))).first()[0])  # type: ignore[index]


def sort_descriptions(mapped: DataFrame, key: str, known: DataFrame | None = None) -> DataFrame:
    """Good rows with `_kind`: good or duplicate. They describe what `key` names, and of each column the last counts.

    A row is a duplicate where it comes again later in the batch. The others of a key are duplicates all together, where they
    are the key's newest rows in the same order: so a file that arrives again adds nothing, a description that returns to an
    earlier one wins, and batches leave what one batch of all files would leave.

    Args:
        known: rows of earlier batches: key, digest, source_file, source_row, ingested_at.
    """
    backwards = [F.desc(name) for name in (C.SOURCE_FILE, C.SOURCE_ROW, C.DIGEST)]
    again = F.row_number().over(Window.partitionBy(C.DIGEST).orderBy(*backwards)) > 1
    marked = _with_history(mapped.where(is_candidate()), key, known).withColumn(AGAIN, again)
    place = F.row_number().over(Window.partitionBy(key, AGAIN).orderBy(*backwards))
    marked = marked.withColumn(OLD, F.col(AGAIN) | F.get(BEFORE, place - 1).eqNullSafe(F.col(C.DIGEST)))
    duplicate = F.col(AGAIN) | F.min(OLD).over(Window.partitionBy(key))
    return marked.withColumn(KIND, F.when(duplicate, DUPLICATE).otherwise(GOOD)).drop(BEFORE, AGAIN, OLD)


def _with_history(rows: DataFrame, key: str, known: DataFrame | None) -> DataFrame:
    """Add the digests of the key's earlier rows, each once, in the order in which cleaning takes them: the newest first."""
    if known is None:
        return rows.withColumn(BEFORE, F.array().cast("array<string>"))
    newest_first = F.sort_array(F.collect_list(F.struct(C.INGESTED_AT, C.SOURCE_FILE, C.SOURCE_ROW, C.DIGEST)), asc=False)
    history = known.groupBy(key).agg(F.array_distinct(newest_first.getField(C.DIGEST)).alias(BEFORE))
    return rows.join(history, on=key, how="left")

"""For the report's data page: what came in, what was refused and why, what was tagged, and who was marked as a bot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Sources, Tables
from lakerec.reporting.data_page import Bots
from lakerec.reporting.masking import mask, mask_user
from lakerec.stages.arrivals import FIGURES, batches_of
from lakerec.stages.base import Context, Inputs
from lakerec.stages.counting import utc
from lakerec.stages.increments import kept

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row

BATCHES, REASONS, LISTED = 12, 50, 10
"""Rows of each table that are shown, at most."""
EXAMPLE = 160
"""Characters of a refused row that are shown."""
FILES, ARRIVED = "files", "arrived"


def batches(context: Context) -> DataFrame:
    """source, batch_id, counts of the batch, files, arrived (epoch microseconds)."""
    arrived = F.unix_micros(F.max(C.INGESTED_AT)).alias(ARRIVED)
    return batches_of(context.lake.read(Tables.FILES), F.count("*").alias(FILES), arrived)


def newest_batches(context: Context, most: int = BATCHES) -> list[dict[str, Any]]:
    """Rows of `batches`, the newest first."""
    newest = batches(context).orderBy(F.col(ARRIVED).desc(), C.SOURCE, C.BATCH_ID).limit(most)
    return [_timed(row) for row in newest.collect()]


def arrivals(context: Context) -> list[dict[str, Any]]:
    """By source: files, batches, figures, and when the last one arrived."""
    sums = [F.sum(name).alias(name) for name in (FILES, *FIGURES)]
    totals = batches(context).groupBy(C.SOURCE).agg(F.count("*").alias("batches"), *sums, F.max(ARRIVED).alias(ARRIVED))
    order = {name: place for place, name in enumerate(Sources.NAMES)}
    return sorted(map(_timed, totals.collect()), key=lambda row: order.get(row[C.SOURCE], len(order)))


def _timed(row: Row) -> dict[str, Any]:
    return {**row.asDict(), ARRIVED: utc(row[ARRIVED])}


def refused(context: Context, inputs: Inputs, rows_in: dict[str, int]) -> list[dict[str, Any]]:
    """Refused rows by source and reason, with one example whose letters and digits are masked.

    Args:
        rows_in: rows that came in, by source.
    """
    rows = context.lake.read(Tables.QUARANTINE, inputs.get(Tables.QUARANTINE))
    exploded = rows.select(C.SOURCE, F.explode(C.REASONS).alias(C.REASON), C.RAW)
    counted = exploded.groupBy(C.SOURCE, C.REASON).agg(F.count("*").alias("rows"), F.min(C.RAW).alias("example"))
    found = [row.asDict() for row in counted.orderBy(F.col("rows").desc(), C.SOURCE, C.REASON).limit(REASONS).collect()]
    return [
        {
            **row,
            "example": shorten(mask(row["example"] or "")),
            "share": row["rows"] / rows_in[row[C.SOURCE]] if rows_in.get(row[C.SOURCE]) else None,
        }
        for row in found
    ]


def shorten(text: str) -> str:
    return text if len(text) <= EXAMPLE else f"{text[: EXAMPLE - 1]}…"


def tags(events: DataFrame, whole: int) -> list[dict[str, Any]]:
    """Events that a rule tagged, by its code; an event may have several.

    Args:
        whole: number of events.
    """
    counted = events.select(F.explode(C.TAGS).alias("tag")).groupBy("tag").agg(F.count("*").alias("rows"))
    found = counted.orderBy(F.col("rows").desc(), "tag").limit(REASONS).collect()
    return [{**row.asDict(), "share": row["rows"] / max(1, whole)} for row in found]


def bots(events: DataFrame) -> Bots:
    """Users that were marked, by reason (a user may have several), and those with most events, masked."""
    users = events.where(F.col(C.IS_BOT)).groupBy(C.USER_ID).agg(
        F.count("*").alias(C.EVENTS), F.countDistinct(C.ITEM_ID).alias(C.ITEMS),
        F.countDistinct(F.to_date(C.EVENT_TIME)).alias("days"), F.max(C.BOT_REASONS).alias(C.REASONS),
    )  # fmt: skip
    with kept(users) as marked:
        total = marked.agg(F.count("*").alias(C.USERS), F.coalesce(F.sum(C.EVENTS), F.lit(0)).alias(C.EVENTS)).collect()[0]
        if not total[C.USERS]:
            return Bots()
        why = marked.select(C.EVENTS, F.explode(C.REASONS).alias(C.REASON)).groupBy(C.REASON)
        counted = why.agg(F.count("*").alias(C.USERS), F.sum(C.EVENTS).alias(C.EVENTS)).orderBy(C.REASON)
        most = marked.orderBy(F.col(C.EVENTS).desc(), C.USER_ID).limit(LISTED).collect()
        return Bots(total[C.USERS], total[C.EVENTS], [row.asDict() for row in counted.collect()], list(map(_masked, most)))


def _masked(row: Row) -> dict[str, Any]:
    return {C.USER: mask_user(row[C.USER_ID] or ""), **{name: row[name] for name in (C.EVENTS, C.ITEMS, "days", C.REASONS)}}

"""For the report's data page: the last batch of events against all before it, counted over bronze/events."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from lakerec.columns import Columns as C
from lakerec.columns import Sources, Tables
from lakerec.reporting.data_page import Drift
from lakerec.reporting.drift_table import Counts, Met, changes
from lakerec.stages.base import Context, Inputs
from lakerec.stages.counting import KEY, NO_TYPE, by_value, counts_by, utc, value_bin
from lakerec.stages.report_arrivals import ARRIVED, batches

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, Row

LAST_PART = 0.25
"""Of the time that a single batch covers, the part that is compared with what precedes it."""
NOW = "_now"


def drift(context: Context, inputs: Inputs, first: datetime, last: datetime) -> Drift | None:
    """Compare; None where one side has no event.

    Args:
        first, last: of the events' times; of a single batch the last quarter is compared with the rest.
    """
    part = newest_part(context, first, last)
    counts = counts_of(context, inputs, part)
    return Drift(part.told, *counts.events, changes(counts)) if all(counts.events) else None


@dataclass(frozen=True)
class Part:
    """What of the events is now; the rest is before."""

    events: Column
    """Of a row of bronze/events: whether it is now."""
    batches: Column | None
    """The same of a row of `batches`; None where parts of a batch are compared."""
    told: str
    """The comparison in words."""


def newest_part(context: Context, first: datetime, last: datetime) -> Part:
    """The last batch of events; of a single one the last quarter of its time, which lies between `first` and `last`."""
    newest = _newest(context)
    if newest is None:
        cut = first + (last - first) * (1 - LAST_PART)
        return Part(F.col(C.EVENT_TIME) >= F.lit(cut), None, _by_time(cut))
    told = f"The last batch of events, of {utc(newest[ARRIVED]):%Y-%m-%d %H:%M} UTC, against all that came before it"
    of_it = F.col(C.BATCH_ID) == newest[C.BATCH_ID]
    return Part(of_it, of_it, told)


def counts_of(context: Context, inputs: Inputs, part: Part) -> Counts:
    """bronze/events counted on both sides."""
    counts = _counts(divided(context, inputs, part))
    counts.refused = None if part.batches is None else _refused(context, part.batches)
    return counts


def divided(context: Context, inputs: Inputs, part: Part) -> DataFrame:
    """bronze/events with `_now`, 1 or 0."""
    bronze = context.lake.read(Tables.BRONZE_EVENTS, inputs.get(Tables.BRONZE_EVENTS))
    return bronze.withColumn(NOW, part.events.cast("int"))


def _by_time(cut: datetime) -> str:
    return (
        f"There is one batch of events only, so this compares the last quarter of its time, from {cut:%Y-%m-%d} on, "
        "with what precedes"
    )


def _newest(context: Context) -> Row | None:
    """The batch of events that came last, of those with good rows; None where there is but one."""
    of_events = batches(context).where((F.col(C.SOURCE) == Sources.EVENTS) & (F.col("rows_out") > 0))
    found = of_events.orderBy(F.col(ARRIVED).desc(), C.BATCH_ID).limit(2).collect()
    return found[0] if len(found) == 2 else None


def _counts(marked: DataFrame) -> Counts:
    """Count events before and now.

    Args:
        marked: bronze/events with `_now`, 1 or 0.
    """
    now = F.sum(NOW)
    nobody = F.col(C.USER_ID).isNull()
    found = counts_by(
        marked,
        {
            "all": F.lit(0), "types": F.coalesce(C.EVENT_TYPE, F.lit(NO_TYPE)), "hours": F.hour(C.EVENT_TIME),
            "values": value_bin(),
        },
        before=F.count("*") - now, now=now,
        strangers_before=F.count_if(nobody) - F.count_if(nobody & (F.col(NOW) == 1)),
        strangers=F.count_if(nobody & (F.col(NOW) == 1)),
    )  # fmt: skip
    whole = found["all"][0]
    return Counts(
        types={row[KEY]: [row["before"], row["now"]] for row in found["types"]},
        hours={row[KEY]: [row["before"], row["now"]] for row in found["hours"]},
        values=by_value(found["values"], "before", "now"),
        strangers=(whole["strangers_before"], whole["strangers"]),
        events=(whole["before"], whole["now"]),
        items=_met(marked, C.ITEM_ID),
        users=_met(marked.where(~nobody), C.USER_ID),
    )


def _met(marked: DataFrame, key: str) -> list[Met]:
    """Items or users by their events before, with what came last of them."""
    each = marked.groupBy(key).agg((F.count("*") - F.sum(NOW)).alias("before"), F.sum(NOW).alias("now"))
    together = each.groupBy("before").agg(F.count("*"), F.sum("now"), F.count_if(F.col("now") > 0))
    return [Met(*row) for row in together.orderBy("before").collect()]


def _refused(context: Context, is_now: Column) -> tuple[tuple[int, int], tuple[int, int]]:
    """Rows refused and not, of the batches before and of those now."""
    rows = batches(context).where(F.col(C.SOURCE) == Sources.EVENTS).groupBy(is_now.alias(NOW))
    sums = rows.agg(F.sum("rows_quarantined"), F.sum(F.col("rows_in") - F.col("rows_quarantined"))).collect()
    found = {row[NOW]: (row[1], row[2]) for row in sums}
    return found.get(False, (0, 0)), found.get(True, (0, 0))
